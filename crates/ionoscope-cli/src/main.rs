//! The command `ionoscope`: it parses, asks the library and delivers the answer.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
