//! How far long work is, and stopping it: one handle that every long computation takes.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{Error, Result};

/// Follows long work from outside. Called from several threads, and often: keep it cheap.
pub trait Watch: Send + Sync {
    /// Whether to stop. Long work asks often and then soon returns [`Error::Interrupted`].
    fn stopped(&self) -> bool {
        false
    }

    /// The flag that [`Watch::stopped`] reads, where it does nothing else: a [`Watcher`] then reads
    /// it without a call.
    fn flag(&self) -> Option<StopFlag> {
        None
    }

    /// So many of so many things are done, such as 3 of 200 "columns".
    fn progress(&self, _done: usize, _of: usize, _what: &str) {}

    /// A line for people about what is being done.
    fn tell(&self, _text: &str) {}
}

impl<T: Watch + ?Sized> Watch for Arc<T> {
    fn stopped(&self) -> bool {
        (**self).stopped()
    }

    fn flag(&self) -> Option<StopFlag> {
        (**self).flag()
    }

    fn progress(&self, done: usize, of: usize, what: &str) {
        (**self).progress(done, of, what);
    }

    fn tell(&self, text: &str) {
        (**self).tell(text);
    }
}

/// A [`Watch`], or nobody. All are equal: who watches does not change the numbers.
#[derive(Clone, Default)]
pub struct Watcher {
    watch: Option<Arc<dyn Watch>>,
    flag: Option<StopFlag>,
}

impl Watcher {
    /// This one.
    pub fn new(watch: impl Watch + 'static) -> Self {
        Watcher {
            flag: watch.flag(),
            watch: Some(Arc::new(watch)),
        }
    }

    /// Whether nobody watches.
    pub fn is_nobody(&self) -> bool {
        self.watch.is_none()
    }

    /// Whether the work is to stop.
    #[inline]
    pub fn stopped(&self) -> bool {
        match &self.flag {
            Some(flag) => flag.stopped(),
            None => self.watch.as_ref().is_some_and(|w| w.stopped()),
        }
    }

    /// Ends work that is to stop.
    ///
    /// # Errors
    /// [`Error::Interrupted`] where it is.
    pub fn check(&self) -> Result<()> {
        if self.stopped() {
            Err(Error::Interrupted)
        } else {
            Ok(())
        }
    }

    /// What work gave, unless it was to stop: then its answer, or its complaint, is none.
    ///
    /// # Errors
    /// [`Error::Interrupted`] where it was to stop; those of the work.
    pub fn unless_stopped<T, E: From<Error>>(
        &self,
        answer: std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        self.check()?;
        answer
    }

    /// Says that so many of so many things are done.
    pub fn progress(&self, done: usize, of: usize, what: &str) {
        if let Some(watch) = &self.watch {
            watch.progress(done, of, what);
        }
    }

    /// Says what is being done.
    pub fn tell(&self, text: &str) {
        if let Some(watch) = &self.watch {
            watch.tell(text);
        }
    }

    /// For a part of the work, behind which `before` of all `of` things were done: what the part counts counts from there.
    pub fn part(&self, before: usize, of: usize, what: &'static str) -> Watcher {
        struct Part {
            whole: Watcher,
            before: usize,
            of: usize,
            what: &'static str,
        }
        impl Watch for Part {
            fn stopped(&self) -> bool {
                self.whole.stopped()
            }

            fn flag(&self) -> Option<StopFlag> {
                self.whole.flag.clone()
            }

            fn progress(&self, done: usize, _of: usize, _what: &str) {
                self.whole.progress(self.before + done, self.of, self.what);
            }

            fn tell(&self, text: &str) {
                self.whole.tell(text);
            }
        }
        if self.is_nobody() {
            Watcher::default()
        } else {
            Watcher::new(Part {
                whole: self.clone(),
                before,
                of,
                what,
            })
        }
    }

    /// One that may stop the work and hears nothing of it: for a part of work that is counted
    /// otherwise.
    pub fn silent(&self) -> Watcher {
        struct Silent(Watcher);
        impl Watch for Silent {
            fn stopped(&self) -> bool {
                self.0.stopped()
            }

            fn flag(&self) -> Option<StopFlag> {
                self.0.flag.clone()
            }
        }
        if self.is_nobody() {
            Watcher::default()
        } else {
            Watcher::new(Silent(self.clone()))
        }
    }

    /// As [`Watcher::silent`], and it stops a part of the work where `flag` is raised.
    pub fn silent_or(&self, flag: StopFlag) -> Watcher {
        struct Either(Watcher, StopFlag);
        impl Watch for Either {
            fn stopped(&self) -> bool {
                self.1.stopped() || self.0.stopped()
            }
        }
        Watcher::new(Either(self.clone(), flag))
    }
}

/// A stop that anybody can ask for; clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Asks for the stop; whether it had been asked for before.
    pub fn raise(&self) -> bool {
        self.0.swap(true, Ordering::Relaxed)
    }
}

impl Watch for StopFlag {
    #[inline]
    fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn flag(&self) -> Option<StopFlag> {
        Some(self.clone())
    }
}

impl PartialEq for Watcher {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_nobody() {
            "Watcher(nobody)"
        } else {
            "Watcher(somebody)"
        })
    }
}
