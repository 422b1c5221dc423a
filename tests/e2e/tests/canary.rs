//! What is written through every path, in twelve scripts, is nowhere to be found afterwards: not in the hub's folder, not
//! in its devices', not in its log, not in what it tells its operator, whether it serves, was killed, or has stopped.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use lockstep_client::{ConversationId, Device, Direction, Draft, Link, Media};
use lockstep_e2e::traces::{Search, files};
use lockstep_e2e::{Hub, lockstep, program, raw, within};
use lockstep_protocol::id::MediaHash;
use lockstep_protocol::limits;

/// Each with a word of a shipped list, of whatever language.
const SENSITIVE: [&str; 12] = [
    "the contract of Quillfeather is signed",
    "หนังสือสัญญาของควิลล์เฟเธอร์ลงนามแล้ว",
    "अनुबंध पत्र क्विलफेदर का तैयार है",
    "羽毛笔公司的合同已经盖章了",
    "羽毛筆公司的合約已經蓋章了",
    "عقد شركة كويلفيذر جاهز للتوقيع",
    "ה password של קווילפדר נמצא כאן",
    "договор компании Квилфезер подписан",
    "το password του Κουίλφεδερ είναι εδώ",
    "퀼페더 회사의 password 여기 있습니다",
    "hợp đồng của Quillfeather đã ký xong",
    "ລະຫັດ password ຂອງ ຄວິວເຟເດີ ແລ້ວ",
];
const ORDINARY: [&str; 12] = [
    "lavender umbrellas for Quillfeather",
    "ร่มสีม่วงของควิลล์เฟเธอร์มาถึงแล้ว",
    "क्विलफेदर की बैंगनी छतरियाँ आ गईं",
    "羽毛笔公司的紫色雨伞到货了",
    "羽毛筆公司的紫色雨傘到貨了",
    "مظلات كويلفيذر البنفسجية وصلت",
    "המטריות הסגולות של קווילפדר הגיעו",
    "фиолетовые зонты Квилфезер приехали",
    "οι μωβ ομπρέλες του Κουίλφεδερ ήρθαν",
    "퀼페더의 보라색 우산이 왔어요",
    "những chiếc ô tím của Quillfeather đến rồi",
    "ຄັນຮົ່ມສີມ່ວງຂອງ ຄວິວເຟເດີ",
];
/// Added to the team's list.
const ADDED: &str = "operation velvet narwhal";
/// Added when it was written already.
const LEARNT: &str = "vermilion lighthouse protocol";
/// With the first word of a phrase that goes on in the next message, to be looked for as it stands in this one.
const SPLIT: &str = "quillfeathers third operation velvet";

/// A hub with its log at its loudest, and everything that it ever said.
struct Loud {
    hub: Hub,
    folder: tempfile::TempDir,
    settings: Vec<String>,
    said: String,
}

impl Loud {
    fn new(mode: &str, owner: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/hub");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let made = lockstep(&path, &["init", "--owner", owner]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let settings = vec![format!("seal.mode={mode}"), "log.level=trace".to_owned()];
        let said = String::from_utf8_lossy(&[made.stdout, made.stderr].concat()).into_owned();
        let hub = Self::spawn(&path, "127.0.0.1:0", &settings);
        Self { hub, folder, settings, said }
    }

    /// Its standard output goes into a file, which is searched with the others.
    fn spawn(path: &Path, address: &str, settings: &[String]) -> Hub {
        let port = match address {
            "127.0.0.1:0" => std::net::TcpListener::bind(address).unwrap().local_addr().unwrap().to_string(),
            known => known.to_owned(),
        };
        let mut shell = Command::new("sh");
        let output = path.with_file_name("stdout");
        shell.args(["-c", &format!("exec \"$0\" \"$@\" >>'{}'", output.display())]).arg(program("lockstep"));
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let started = Hub::start_through_at(shell, path, &port, &settings);
        started.unwrap_or_else(|stopped| panic!("{}", stopped.log))
    }

    fn kill(&mut self) {
        self.hub.kill();
        let log = self.hub.log().to_owned();
        self.said.push_str(&log);
    }

    fn restart(&mut self) {
        self.hub = Self::spawn(self.hub.folder(), &self.hub.address(), &self.settings);
    }

    /// Whatever the hub holds and its devices hold. What a user imports from lies elsewhere.
    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn link(&self, member: u32) -> Link {
        let pairing = self.hub.json(&["pair", &member.to_string()]);
        pairing["link"].as_str().unwrap().parse().unwrap()
    }

    async fn device(&self, member: u32, name: &str) -> Arc<Device> {
        let home = self.data().join(format!("device-{member}"));
        let device = within("enrolment", Device::enrol(home, &self.link(member), name)).await.unwrap();
        within("the first catch-up", device.synced()).await.unwrap();
        Arc::new(device)
    }

    fn conversation(&self, customer: &str) -> ConversationId {
        let opened = self.hub.json(&["conversation", "new", customer, "--service", "9", "--assign", "2,3"]);
        let id = opened["id"].as_str().unwrap();
        ConversationId(std::array::from_fn(|at| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).unwrap()))
    }

    /// What the hub tells its operator: of numbers and ids alone.
    async fn told(&self) -> String {
        let address = self.hub.address();
        let mut told = within("metrics", raw::get(&address, "/metrics")).await;
        told.push_str(&within("health", raw::get(&address, "/readyz")).await);
        for arguments in
            [&["status"][..], &["audit"], &["--json", "audit"], &["audit", "verify"], &["key", "status"], &["doctor"]]
        {
            let output = lockstep(self.hub.folder(), arguments);
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
            told.push_str(&String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
        }
        told
    }

    fn verify(&self) {
        let report = self.hub.json(&["verify"]);
        assert_eq!(report["damaged"], 0, "{report}");
        assert!(report["entries"].as_u64().unwrap() > 100, "{report}");
    }
}

/// Everything that devices write: `texts` wherever text that is looked at for words goes, `others` everywhere else.
async fn write_all(anna: &Device, ben: &Device, chat: &Device, id: ConversationId, texts: &[&str], others: &[&str]) {
    for (text, other) in texts.iter().zip(others) {
        let note = anna.note(id, text).await.unwrap();
        anna.edit(id, note, &format!("edited: {text}")).await.unwrap();
        let received = chat.receive(id, None, text).await.unwrap();
        let quoting = anna.reply(id, received, &format!("quoting: {text}")).await.unwrap();
        anna.react(id, note, if other.len() <= limits::EMOJI_BYTES_MAX { other } else { "☂" }).await.unwrap();
        anna.retract(id, quoting, &format!("retracted: {text}")).await.unwrap();
        anna.set_field(id, "remark", text).await.unwrap();
        if text.len() <= limits::LABEL_BYTES_MAX {
            anna.set_label(id, text, true).await.unwrap();
        }
        ben.note(id, text).await.unwrap();
    }
    for device in [anna, ben, chat] {
        within("what was written is confirmed", device.synced()).await.unwrap();
    }
}

/// What the hub does not take stays on its device: attachments that nobody uploaded.
async fn write_refused(device: &Device, id: ConversationId, texts: &[&str]) {
    let before = device.not_sent().len();
    for text in texts {
        let hash = MediaHash([7; 32]);
        let media = Media { hash, media_type: "application/pdf".into(), name: format!("{text}.pdf"), size: 9 };
        let caption = format!("caption: {text}");
        let draft = Draft { kind: "document".into(), media: Some(media), ..Draft::text(id, Direction::Note, &caption) };
        device.write(draft).await.unwrap();
    }
    let refused = async {
        while device.not_sent().len() < before + texts.len() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("the refusals", refused).await;
}

/// A chat export, outside of what is searched.
fn import(loud: &Loud, customer: &str, sender: &str, texts: &[&str]) {
    let mut lines = String::new();
    for (minute, text) in texts.iter().enumerate() {
        lines.push_str(&format!("13/03/24, 09:{minute:02} - {sender}: {text}\n"));
        lines.push_str(&format!("13/03/24, 09:{minute:02} - {customer}: reply: {text}\n"));
        lines.push_str(&format!("13/03/24, 10:{minute:02} - {sender}: {text}.pdf (file attached)\ncaption: {text}\n"));
    }
    let path = loud.folder.path().join("WhatsApp Chat with somebody.txt");
    std::fs::write(&path, lines).unwrap();
    let member = format!("{sender}=2");
    let report = loud.hub.json(&[
        "migrate",
        "import",
        path.to_str().unwrap(),
        "--member",
        &member,
        "--customer",
        customer,
        "--time-zone",
        "UTC",
        "--customer-sender",
        customer,
        "--date-order",
        "dmy",
    ]);
    assert_eq!(report["report"]["kept"], 3 * texts.len(), "{report}");
}

/// Writes until told to stop; counts what was taken by the device.
async fn keep_writing(
    device: Arc<Device>,
    id: ConversationId,
    texts: Vec<&'static str>,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
) {
    for text in texts.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        device.note(id, text).await.unwrap();
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// One life of a hub, searched while it serves, when it was killed in the middle of work, and when it has stopped.
async fn live(mode: &str) {
    let sealed_all = mode == "all";
    // Names are no messages: nobody looks for words there, so with `sensitive` they are not what is sought.
    let names = ORDINARY;
    let mut sought: Vec<&str> = SENSITIVE.into_iter().chain([ADDED, LEARNT, SPLIT]).collect();
    if sealed_all {
        sought.extend(ORDINARY);
    }
    let search = Search::new(sought.iter().copied());
    let mut loud = Loud::new(mode, names[0]);
    for (number, name, role) in [("2", names[1], "agent"), ("3", names[2], "manager"), ("9", names[3], "service")] {
        loud.hub.json(&["member", "add", name, "--role", role, "--id", number]);
    }
    let (anna, ben) = (loud.device(2, names[4]).await, loud.device(3, names[5]).await);
    let chat = loud.device(9, names[6]).await;
    let (one, other) = (loud.conversation(names[7]), loud.conversation(names[8]));
    for device in [&anna, &ben, &chat] {
        within("the conversation", device.conversation(one)).await.unwrap();
        within("the conversation", device.conversation(other)).await.unwrap();
    }
    for text in SENSITIVE {
        let found = loud.hub.json(&["words", "test", text]);
        assert_ne!(found["hits"].as_array().unwrap().len(), 0, "{text:?} is of no list");
    }

    // More of each than a document has before it is compacted, twice: what is ordinary apart, so that it stands in
    // documents of its own.
    write_all(&anna, &ben, &chat, one, &SENSITIVE, &ORDINARY).await;
    write_all(&anna, &ben, &chat, other, &ORDINARY, &ORDINARY).await;
    write_refused(&ben, one, &SENSITIVE).await;
    import(&loud, names[9], names[10], &SENSITIVE);
    import(&loud, names[11], names[10], &ORDINARY);
    for conversation in [one, other] {
        anna.note(conversation, &format!("about the {LEARNT}")).await.unwrap();
    }
    within("the notes", anna.synced()).await.unwrap();
    loud.hub.json(&["words", "add", "--category", "contract", ADDED, LEARNT]);
    anna.note(other, &format!("about {ADDED}")).await.unwrap();
    anna.note(other, SPLIT).await.unwrap();
    anna.note(other, "narwhal").await.unwrap();
    within("the notes", anna.synced()).await.unwrap();
    let scanned = async {
        while loud.hub.json(&["words", "list", "--added"])["scan"]["done"] != true {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("the look at everything stored", scanned).await;
    // What stood in the clear until now is driven out in the background, also of files that go meanwhile.
    let late = Search::new([LEARNT, SPLIT]);
    let is_there = || {
        let store = files(&loud.hub.folder().join("store"));
        store.iter().any(|path| !late.bytes(&std::fs::read(path).unwrap_or_default()).is_empty())
    };
    let gone = async {
        while is_there() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("the end of what stood in the clear", gone).await;
    let compacted = async {
        while raw::metrics(&loud.hub.address()).await["lockstep_documents_compacted_total"] < 2.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("two snapshots", compacted).await;

    // Keys change while everybody writes; then the hub dies in the middle of it.
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writers: Vec<_> = [(&anna, SENSITIVE), (&ben, ORDINARY)]
        .map(|(device, texts)| {
            tokio::spawn(keep_writing(Arc::clone(device), one, texts.to_vec(), Arc::clone(&stop), Arc::clone(&count)))
        })
        .into();
    assert_eq!(loud.hub.json(&["key", "rotate"])["generation"], 2);
    let goal = count.load(Ordering::Relaxed) + 40;
    let written = async {
        while count.load(Ordering::Relaxed) < goal {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within("more notes", written).await;
    // A line that only a loud log has.
    std::net::TcpStream::connect(loud.hub.address()).unwrap().write_all(b"no TLS at all\r\n\r\n").unwrap();
    assert!(loud.hub.wait_for_line("TLS failed"));
    let told = loud.told().await;
    assert_eq!(search.bytes(told.as_bytes()).len(), 0, "told to its operator:\n{told}");
    loud.kill();
    // Devices write on: this is how their power failing would find them, too.
    let killed = tempfile::tempdir().unwrap();
    for path in files(&loud.data()) {
        let target = killed.path().join(path.strip_prefix(loud.data()).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&path, target).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        within("a writer's end", writer).await.unwrap();
    }
    assert_eq!(search.folder(killed.path()), [] as [String; 0], "after the hub was killed");

    loud.restart();
    for device in [&anna, &ben] {
        device.connect().await.unwrap();
        within("what waited is confirmed", device.synced()).await.unwrap();
    }
    loud.verify();
    for device in [&anna, &ben, &chat] {
        device.close().await;
    }
    let data = loud.data();
    let (address, path) = (loud.hub.address(), loud.hub.folder().to_owned());
    let Loud { hub, folder, settings, mut said } = loud;
    let stopped = hub.stop();
    assert!(stopped.status.success(), "{}", stopped.log);
    said.push_str(&stopped.log);
    assert_eq!(search.folder(&data), [] as [String; 0], "after the hub has stopped");
    // Once more, so that all of it stands in table files.
    let again = Loud::spawn(&path, &address, &settings).stop();
    assert!(again.status.success(), "{}", again.log);
    said.push_str(&again.log);
    assert_eq!(search.folder(&data), [] as [String; 0], "after one more start");
    assert!(files(&path.join("store")).iter().any(|path| path.extension().is_some_and(|ending| ending == "sst")));
    assert!(said.contains("DEBUG") && said.contains("the hub stops"), "{said}");
    assert_eq!(search.bytes(said.as_bytes()).len(), 0, "{}", said);

    // The search finds what is there: ordinary text where that is not sealed, in files as a kill left them and in rows; the
    // imported file, which is the user's own.
    let control = Search::new(ORDINARY);
    for place in [killed.path(), &data] {
        let found = control.folder(place);
        let in_rows = found.iter().filter(|place| place.starts_with("family")).count();
        let compressed = found.iter().any(|place| place.contains("compressed"));
        match sealed_all {
            true => assert_eq!(found, [] as [String; 0]),
            false => assert!(in_rows > 20 && found.len() > in_rows && compressed, "{found:?}"),
        }
        let devices = found.iter().any(|place| place.contains("device-"));
        assert!(!devices, "what devices keep is sealed in any case: {found:?}");
    }
    assert!(!control.folder(folder.path()).is_empty(), "the imported file was not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_written_is_found() {
    live("all").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_sensitive_is_found_where_only_that_is_sealed() {
    live("sensitive").await;
}

/// The texts of this file are long enough, and each is found in each form, in a file, in its name, and compressed.
#[test]
fn the_search_can_fail() {
    let search = Search::new(SENSITIVE.into_iter().chain(ORDINARY).chain([ADDED]));
    let folder = tempfile::tempdir().unwrap();
    for (number, (form, patterns)) in search.forms().into_iter().enumerate() {
        let path = folder.path().join(number.to_string());
        for pattern in patterns {
            std::fs::write(&path, [b"\x00\xff", &pattern[..], b"\xff\x00"].concat()).unwrap();
            assert!(!search.folder(folder.path()).is_empty(), "{form}");
        }
        std::fs::remove_file(path).unwrap();
    }
    assert!(search.folder(folder.path()).is_empty());
    std::fs::write(folder.path().join(format!("{}.txt", ORDINARY[1])), b"").unwrap();
    assert_eq!(search.folder(folder.path()).len(), 1);
}
