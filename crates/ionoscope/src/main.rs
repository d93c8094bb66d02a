//! The command `ionoscope`; see [`ionoscope::cli`].

fn main() -> std::process::ExitCode {
    ionoscope::cli::main()
}
