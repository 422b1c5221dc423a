//! Processes as the system sees them: which core they run on, what they have used.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

/// The core for servers, ours and others alike.
pub(crate) const SERVER_CORE: usize = 0;
/// The core for whatever makes load.
pub(crate) const LOAD_CORE: usize = 1;

/// Keeps a process, all threads that it has and will have, on one core. On a machine with one core nothing happens.
pub(crate) fn pin(process: u32, core: usize) -> anyhow::Result<()> {
    if std::thread::available_parallelism()?.get() <= core {
        return Ok(());
    }
    let done = Command::new("taskset").args(["-apc", &core.to_string(), &process.to_string()]).output();
    let done = done.context("taskset (util-linux) is needed to keep servers and load apart")?;
    anyhow::ensure!(done.status.success(), "taskset: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

/// A command that starts a program on one core: it must know from its beginning that there is one.
pub(crate) fn on_core(program: &Path, core: usize) -> anyhow::Result<Command> {
    if std::thread::available_parallelism()?.get() <= core {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    Ok(command)
}

/// Lets a process run on every core: it inherits its parent's.
pub(crate) fn unpin(process: u32) -> anyhow::Result<()> {
    let last = std::fs::read_to_string("/sys/devices/system/cpu/online").context("the list of cores")?;
    let done = Command::new("taskset").args(["-apc", last.trim(), &process.to_string()]).output();
    let done = done.context("taskset (util-linux) is needed to keep servers and load apart")?;
    anyhow::ensure!(done.status.success(), "taskset: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

/// CPU time that a process's living threads have used, user and system.
pub(crate) fn cpu_time(process: u32) -> anyhow::Result<Duration> {
    cpu_time_but(process, &[])
}

/// The same without the threads whose names begin so.
pub(crate) fn cpu_time_but(process: u32, beside: &[&str]) -> anyhow::Result<Duration> {
    let mut total = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let thread = thread?.path();
        // A thread may end meanwhile.
        let (Ok(name), Ok(schedule)) =
            (fs::read_to_string(thread.join("comm")), fs::read_to_string(thread.join("schedstat")))
        else {
            continue;
        };
        if !beside.iter().any(|beside| name.starts_with(beside)) {
            total += on_core_for(&schedule)?;
        }
    }
    Ok(total)
}

/// CPU time that this thread has used.
pub(crate) fn own_cpu_time() -> anyhow::Result<Duration> {
    on_core_for(&fs::read_to_string("/proc/thread-self/schedstat")?)
}

/// The first number of a `schedstat`: nanoseconds on a core.
fn on_core_for(schedule: &str) -> anyhow::Result<Duration> {
    Ok(Duration::from_nanos(schedule.split_whitespace().next().context("a schedstat line")?.parse()?))
}

/// Resident memory of a process, bytes.
pub(crate) fn resident_bytes(process: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}
