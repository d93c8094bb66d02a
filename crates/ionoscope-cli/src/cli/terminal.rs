//! What a person at a terminal sees of long work, and how it is stopped from outside.
//!
//! There is one standard error and one set of signals in a process, and so one terminal. The first of Ctrl-C, TERM, HUP and USR1 asks the work to stop,
//! which it soon does, keeping what it says; a second one ends the process at once.

use std::{
    fs,
    io::{self, Write},
    sync::{Mutex, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use ionoscope_dynamics::watch::{StopFlag, Watch, Watcher};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1},
    iterator::Signals,
};

use ionoscope::{Error, Result};

/// Work that takes less is not shown.
const SHOWN_AFTER: Duration = Duration::from_secs(1);
/// Exit code of a process that a second signal ends, as shells count: 128 and Ctrl-C's number.
const ENDED: i32 = 130;

static TERMINAL: OnceLock<Terminal> = OnceLock::new();

struct Terminal {
    /// No warnings, no progress.
    quiet: bool,
    stop: StopFlag,
    shown: Mutex<Shown>,
}

/// The bar, and what it counts.
struct Shown {
    bar: ProgressBar,
    what: String,
}

/// Begins to watch for signals and shows that work is going on, as `verb`, unless it should be `quiet`.
///
/// # Errors
/// Signals that cannot be watched.
pub fn watch(verb: &str, quiet: bool) -> Result<Watcher> {
    let bar = if quiet {
        ProgressBar::hidden()
    } else {
        ProgressBar::new_spinner()
    };
    bar.set_message(verb.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}: {elapsed}") {
        bar.set_style(style);
    }
    let terminal = TERMINAL.get_or_init(|| Terminal {
        quiet,
        stop: StopFlag::default(),
        shown: Mutex::new(Shown {
            bar,
            what: String::new(),
        }),
    });
    let wanted = [SIGINT, SIGTERM, SIGUSR1]
        .into_iter()
        .chain((!is_ignored(SIGHUP)).then_some(SIGHUP));
    let mut signals = Signals::new(wanted)
        .map_err(|e| Error::Failed(format!("cannot watch for signals: {e}")))?;
    thread::spawn(move || {
        for _ in signals.forever() {
            if terminal.stop.raise() {
                std::process::exit(ENDED);
            }
            line("stopping; a second signal, or Ctrl-C again, stops at once");
        }
    });
    thread::spawn(move || {
        thread::sleep(SHOWN_AFTER);
        let shown = terminal.lock();
        if !shown.bar.is_finished() {
            shown.bar.enable_steady_tick(Duration::from_millis(250));
        }
    });
    Ok(Watcher::new(This))
}

/// Takes the bar away, before data are printed or the process ends.
pub fn clear() {
    if let Some(terminal) = TERMINAL.get() {
        terminal.lock().bar.finish_and_clear();
    }
}

/// Writes a line to standard error, above the bar where there is one.
pub fn line(text: &str) {
    let write = || {
        let _ = writeln!(io::stderr(), "{text}");
    };
    match TERMINAL.get() {
        Some(terminal) => terminal.lock().bar.suspend(write),
        None => write(),
    }
}

/// Whether whoever started this process wants it to go on when its terminal closes, as nohup does.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|l| l.strip_prefix("SigIgn:"))
        .and_then(|m| u64::from_str_radix(m.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

impl Terminal {
    fn lock(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The terminal of this process.
struct This;

impl Watch for This {
    fn stopped(&self) -> bool {
        TERMINAL.get().is_some_and(|t| t.stop.stopped())
    }

    fn flag(&self) -> Option<StopFlag> {
        TERMINAL.get().map(|t| t.stop.clone())
    }

    fn progress(&self, done: usize, of: usize, what: &str) {
        let Some(terminal) = TERMINAL.get().filter(|t| !t.quiet) else {
            return;
        };
        let mut shown = terminal.lock();
        if shown.what != what {
            let rate = |state: &ProgressState, w: &mut dyn std::fmt::Write| {
                let _ = write!(w, "{:.1}/s", state.per_sec());
            };
            if let Ok(style) = ProgressStyle::with_template(
                "{bar:40} {human_pos}/{human_len} {msg}, {rate}, {eta} left",
            ) {
                shown.bar.set_style(style.with_key("rate", rate));
            }
            shown.bar.set_message(what.to_owned());
            shown.bar.reset();
            shown.what = what.to_owned();
        }
        shown.bar.set_length(of as u64);
        shown.bar.set_position(done as u64);
    }

    fn tell(&self, text: &str) {
        if TERMINAL.get().is_some_and(|t| !t.quiet) {
            line(text);
        }
    }
}
