//! A hub that dies writes no core: it would hold keys and messages in the clear.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

use lockstep_client::Device;
use lockstep_e2e::{Hub, program, within};

/// SIGABRT, signal(7).
const ABORTED: i32 = 6;

/// A shell that allows cores as large as they like, in this folder, before it becomes another program.
fn allowing(folder: &Path, then: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -c unlimited 2>/dev/null; cd '{}' && {then}", folder.display())]);
    shell
}

/// Files that were not there before. A core lies where `kernel.core_pattern` says, as a rule in the folder that the
/// process was in; another name or place only the exit status tells.
fn cores(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains("core")).collect()
}

fn abort(process: u32) {
    let sent = Command::new("kill").arg("-ABRT").arg(process.to_string()).status();
    assert!(sent.is_ok_and(|status| status.success()), "SIGABRT was sent");
}

fn has_aborted(status: ExitStatus) -> bool {
    status.signal() == Some(ABORTED)
}

/// What this asserts: seen from outside, the process may write no core (its limits are zero, the hard one too), and when it
/// is aborted the system says that none was written, and there is none. Where a process that allows cores leaves none
/// either, as on a machine that collects or forbids them, the last part shows nothing, and the limits are what counts. That
/// nobody but root may read the memory of the process is tested beside `core_dumps.rs`, where it can be asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_aborted_writes_no_core() {
    let folder = tempfile::tempdir().unwrap();
    let (hubs, others) = (folder.path().join("in-hub"), folder.path().join("in-other"));
    std::fs::create_dir(&hubs).unwrap();
    std::fs::create_dir(&others).unwrap();

    let control = allowing(&others, "kill -ABRT $$").status().unwrap();
    assert!(has_aborted(control));
    let writes_cores = control.core_dumped();
    assert!(writes_cores || cores(&others).is_empty());

    let path = folder.path().join("hub");
    let mut shell = allowing(&hubs, "exec \"$0\" \"$@\"");
    shell.arg(program("lockstep"));
    let mut hub = Hub::create_through(shell, &path, &[]);
    let pairing = hub.json(&["pair", "1"]);
    let link = pairing["link"].as_str().unwrap().parse().unwrap();
    let device = within("enrolment", Device::enrol(folder.path().join("device"), &link, "test")).await.unwrap();
    within("the first catch-up", device.synced()).await.unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", hub.process_id())).unwrap();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).expect("a limit");
    assert_eq!(limit.split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"], "{limits}");
    assert!(!hub.has_ended());
    abort(hub.process_id());
    let stopped = hub.wait();
    assert!(has_aborted(stopped.status), "{:?}", stopped.status);
    assert!(!stopped.status.core_dumped(), "{:?}", stopped.status);
    for place in [&hubs, &path, &path.join("store"), &folder.path().to_owned()] {
        assert_eq!(cores(place), [] as [String; 0]);
    }
    if writes_cores {
        eprintln!("this machine writes cores: the control has one");
    }
}
