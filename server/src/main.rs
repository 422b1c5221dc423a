//! The program `lockstep`.

fn main() -> std::process::ExitCode {
    lockstep_server::cli::run(std::env::args_os())
}
