//! The program as a process.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// No single step of a test takes longer, unless the program hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The line of the log that says that devices may connect.
const UP: &str = "the hub is up";

/// A program that Cargo has built beside this test: `lockstep`, or an example as `examples/NAME`.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own file");
    // Tests lie in target/PROFILE/deps, programs one above.
    let mut folders = test.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    let path = folders.clone().find(|path| path.exists()).or_else(|| folders.next()).expect("a file lies in a folder");
    assert!(
        path.exists(),
        "{} is missing: run tests/run, or cargo build --workspace --examples --bins",
        path.display()
    );
    path
}

/// Runs one verb to its end.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn lockstep(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program("lockstep"));
    command.arg("--folder").arg(folder).args(arguments).env_remove("LOCKSTEP_CONFIG");
    command.output().expect("the program starts")
}

/// How a hub ended.
#[derive(Debug)]
pub struct Stopped {
    /// Its exit.
    pub status: ExitStatus,
    /// Everything that it logged.
    pub log: String,
}

/// A running hub. Dropped, it is killed.
#[derive(Debug)]
pub struct Hub {
    child: Child,
    lines: Receiver<String>,
    log: String,
    folder: PathBuf,
    port: u16,
}

impl Hub {
    /// Makes a hub with one owner (member 1) in a folder that is not there yet, and starts it.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn create(folder: &Path) -> Self {
        Self::create_through(Command::new(program("lockstep")), folder, &[])
    }

    /// As [`Hub::create`], through another program (`taskset`, with a core and the program's path), with settings
    /// (`key=value`).
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn create_through(command: Command, folder: &Path, settings: &[&str]) -> Self {
        let made = lockstep(folder, &["init", "--owner", "Olga Owner"]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self::spawn(command, folder, free_port(), settings).expect("the hub starts")
    }

    /// Starts the hub of a folder on a free port.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// As [`Hub::start`], with settings (`key=value`).
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_with(folder: &Path, settings: &[&str]) -> Self {
        Self::spawn(Command::new(program("lockstep")), folder, free_port(), settings).expect("the hub starts")
    }

    /// Starts a hub through another program (`sh`, with limits), whose arguments are given before the hub's own.
    ///
    /// # Errors
    /// How it ended instead.
    pub fn start_through_at(
        command: Command,
        folder: &Path,
        address: &str,
        settings: &[&str],
    ) -> Result<Self, Stopped> {
        Self::spawn(command, folder, port_of(address), settings)
    }

    /// Starts the hub of a folder at an address that devices know.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_at(folder: &Path, address: &str) -> Self {
        Self::spawn(Command::new(program("lockstep")), folder, port_of(address), &[]).expect("the hub starts")
    }

    /// Starts it again on the same folder and port, after it has ended.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        *self = Self::start_at(&self.folder.clone(), &self.address());
    }

    /// Tries to start a hub and answers how it ended.
    ///
    /// # Panics
    /// If it does start.
    #[must_use]
    pub fn refuses_to_start(folder: &Path, settings: &[&str]) -> Stopped {
        match Self::spawn(Command::new(program("lockstep")), folder, free_port(), settings) {
            Ok(hub) => panic!("the hub started: {}", hub.log),
            Err(stopped) => stopped,
        }
    }

    fn spawn(mut command: Command, folder: &Path, port: u16, settings: &[&str]) -> Result<Self, Stopped> {
        command.arg("--folder").arg(folder).arg("serve");
        command.arg("--set").arg(format!("listen.address=127.0.0.1:{port}"));
        for setting in settings {
            command.arg("--set").arg(setting);
        }
        command.env_remove("LOCKSTEP_CONFIG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stderr = child.stderr.take().expect("standard error is a pipe");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)).ok();
        });
        let mut hub = Self { child, lines, log: String::new(), folder: folder.to_owned(), port };
        if hub.wait_for_line(UP) { Ok(hub) } else { Err(hub.wait()) }
    }

    /// Reads the log until a line holds `text`; false if the hub ends before.
    ///
    /// # Panics
    /// If neither happens in time.
    pub fn wait_for_line(&mut self, text: &str) -> bool {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let found = line.contains(text);
                    self.log.push_str(&line);
                    self.log.push('\n');
                    if found {
                        return true;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => panic!("no line with `{text}` in the log:\n{}", self.log),
            }
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Runs a verb with `--json` and answers what it printed.
    ///
    /// # Panics
    /// If the verb fails or prints no JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = lockstep(&self.folder, &[&["--json"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", String::from_utf8_lossy(&output.stdout)))
    }

    /// Kills it without warning, as a power failure does to a process.
    ///
    /// # Panics
    /// If the system does not let it.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// Everything that it logged, once it has ended.
    ///
    /// # Panics
    /// If it has not, and does not in time.
    pub fn log(&mut self) -> &str {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.log.push_str(&line);
                    self.log.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => return &self.log,
                Err(RecvTimeoutError::Timeout) => panic!("the hub does not end:\n{}", self.log),
            }
        }
    }

    /// Asks it to stop (SIGTERM) and waits.
    ///
    /// # Panics
    /// If it does not end in time.
    #[must_use]
    pub fn stop(self) -> Stopped {
        let sent = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIGTERM was sent");
        self.wait()
    }

    /// Whether it has ended by itself.
    ///
    /// # Panics
    /// If the system does not say.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be looked at").is_some()
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// If it does not end in time.
    #[must_use]
    pub fn wait(mut self) -> Stopped {
        let end = Instant::now() + PATIENCE;
        // Its log ends when it does.
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.log.push_str(&line);
            self.log.push('\n');
        }
        assert!(Instant::now() < end, "the hub does not end:\n{}", self.log);
        let status = self.child.wait().expect("the hub has ended");
        Stopped { status, log: std::mem::take(&mut self.log) }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn port_of(address: &str) -> u16 {
    address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("an address with a port")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the system has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
