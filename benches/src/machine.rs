//! Processes as the system sees them: which core they run on, what they have used.

use std::fs;
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

/// Lets a process run on every core: it inherits its parent's.
pub(crate) fn unpin(process: u32) -> anyhow::Result<()> {
    let last = std::fs::read_to_string("/sys/devices/system/cpu/online").context("the list of cores")?;
    let done = Command::new("taskset").args(["-apc", last.trim(), &process.to_string()]).output();
    let done = done.context("taskset (util-linux) is needed to keep servers and load apart")?;
    anyhow::ensure!(done.status.success(), "taskset: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

/// CPU time that a process has used, user and system.
pub(crate) fn cpu_time(process: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Fields after the name, which may hold anything; utime and stime are the 14th and 15th of all.
    let fields: Vec<&str> = stat.rsplit_once(')').context("a stat line")?.1.split_whitespace().collect();
    let ticks: u64 =
        fields.get(11).context("utime")?.parse::<u64>()? + fields.get(12).context("stime")?.parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Linux counts CPU time for user space in hundredths of a second on every architecture (USER_HZ).
const TICKS_PER_SECOND: u64 = 100;

/// Resident memory of a process, bytes.
pub(crate) fn resident_bytes(process: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}
