//! What made a result: version, command and machine.

/// Version of the program, with the commit it was built from where that is known.
pub fn version() -> String {
    let commit = option_env!("IONOSCOPE_COMMIT")
        .map(|c| format!(" ({c})"))
        .unwrap_or_default();
    format!("{}{commit}", env!("CARGO_PKG_VERSION"))
}

/// The command line of this process as one would type it.
pub fn command() -> String {
    let quoted = |a: String| {
        if a.contains([' ', '\'', '"', '$', '*']) {
            format!("'{}'", a.replace('\'', "'\\''"))
        } else {
            a
        }
    };
    std::iter::once("ionoscope".to_owned())
        .chain(std::env::args().skip(1).map(quoted))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The processor and the number of threads in use.
pub fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        info.lines()
            .find(|l| l.starts_with(name))
            .and_then(|l| l.split_once(':'))
            .map(|(_, v)| v.trim().to_owned())
    };
    let name = field("model name").unwrap_or_else(|| "processor of unknown name".into());
    format!(
        "{name}, {}, {} threads",
        std::env::consts::ARCH,
        rayon::current_num_threads()
    )
}
