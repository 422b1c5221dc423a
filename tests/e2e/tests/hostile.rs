//! Peers that do what they must not; the others do not notice.

use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use lockstep_e2e::{Hub, Team, raw, within};
use lockstep_protocol::codec;
use lockstep_protocol::frame::{DeviceFrame, Enrol, HubFrame};
use lockstep_protocol::id::{InviteCode, PublicKey, Signature};
use lockstep_protocol::limits;
use lockstep_protocol::refusal::RefusalCode;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

type Socket = WebSocketStream<TlsStream<tokio::net::TcpStream>>;

async fn connect(hub: &Hub) -> Socket {
    websocket(hub, raw::tls(&hub.address()).await).await
}

async fn websocket(hub: &Hub, tls: TlsStream<tokio::net::TcpStream>) -> Socket {
    let (socket, _) = within(
        "the WebSocket handshake",
        client_async_with_config(format!("wss://{}/v1/sync", hub.address()), tls, None),
    )
    .await
    .unwrap();
    socket
}

/// The hub's next frame; none when it has closed.
async fn next(socket: &mut Socket) -> Option<HubFrame> {
    loop {
        match within("a frame of the hub", socket.next()).await? {
            Ok(Message::Binary(bytes)) => return codec::decode_hub(&bytes).unwrap(),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// Sends bytes as a first frame and answers the code of the refusal; the connection must be closed after it.
async fn refused(hub: &Hub, message: Message) -> Option<RefusalCode> {
    let mut socket = connect(hub).await;
    assert!(matches!(next(&mut socket).await, Some(HubFrame::Challenge { .. })));
    // The hub may close while a large message is still on its way.
    drop(socket.send(message).await);
    let code = match next(&mut socket).await {
        Some(HubFrame::Refusal { refusal, .. }) => refusal.known(),
        None => return None,
        other => panic!("{other:?}"),
    };
    assert_eq!(next(&mut socket).await, None);
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_refused_with_a_code_and_the_peer_is_closed() {
    let mut team = Team::new();
    let device = team.device(1).await;
    let rows: [(&str, Message, RefusalCode); 5] = [
        ("random bytes", Message::binary(vec![0xff; 100]), RefusalCode::Malformed),
        ("text", Message::text("hello"), RefusalCode::Malformed),
        ("nothing", Message::binary(Vec::new()), RefusalCode::Malformed),
        // An array that says it has 2^32 items.
        ("a lie about length", Message::binary(vec![0x82, 0x02, 0x9a, 0xff, 0xff, 0xff, 0xff]), RefusalCode::Malformed),
        ("a frame before hello", Message::binary(vec![0x81, 0x09]), RefusalCode::FrameUnexpected),
    ];
    for (what, message, code) in rows {
        assert_eq!(refused(&team.hub, message).await, Some(code), "{what}");
    }
    let large = Message::binary(vec![0; limits::FRAME_BYTES_MAX + 1]);
    assert!(matches!(refused(&team.hub, large).await, None | Some(RefusalCode::TooLarge)), "too large a frame");
    assert!(device.status().online, "others do not notice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_a_later_version_is_skipped() {
    let mut team = Team::new();
    let mut socket = connect(&team.hub).await;
    assert!(matches!(next(&mut socket).await, Some(HubFrame::Challenge { .. })));
    // Frame 99, which no version knows, then something malformed: the refusal is about the second.
    socket.send(Message::binary(vec![0x82, 0x18, 99, 0x01])).await.unwrap();
    socket.send(Message::binary(vec![0xff])).await.unwrap();
    let Some(HubFrame::Refusal { refusal, .. }) = next(&mut socket).await else { panic!("a refusal") };
    assert_eq!(refusal.known(), Some(RefusalCode::Malformed));
    drop(team.device(1).await);
}

/// Tries a code that nobody made, from one of this machine's addresses.
async fn guess(hub: &Hub, source: Ipv4Addr, number: u8) -> Option<RefusalCode> {
    let tls = raw::tls_from(source, &hub.address()).await;
    let mut socket = websocket(hub, tls).await;
    assert!(matches!(next(&mut socket).await, Some(HubFrame::Challenge { .. })));
    let (code, key) = (InviteCode([number; 16]), PublicKey([number; 32]));
    let (version, proof) = (limits::PROTOCOL_VERSION, Signature([number; 64]));
    let enrol = DeviceFrame::Enrol(Enrol { version, code, key, name: "guess".into(), proof });
    socket.send(Message::binary(codec::encode(&enrol))).await.unwrap();
    let Some(HubFrame::Refusal { refusal, .. }) = next(&mut socket).await else { panic!("a refusal") };
    assert_eq!(next(&mut socket).await, None);
    refusal.known()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_codes_waits_longer_and_longer_and_nobody_else_does() {
    let mut team = Team::new();
    let began = Instant::now();
    for number in 0..7 {
        assert_eq!(guess(&team.hub, Ipv4Addr::new(127, 0, 0, 3), number).await, Some(RefusalCode::CodeInvalid));
    }
    // Three are free, and perhaps one more, which is noted when its connection has ended; then 250, 500 … milliseconds.
    assert!(began.elapsed() >= Duration::from_millis(700), "guesses came through in {:?}", began.elapsed());
    // One more waits a second; meanwhile a device of another address is enrolled.
    tokio::select! {
        _ = guess(&team.hub, Ipv4Addr::new(127, 0, 0, 3), 9) => panic!("the guesser came first"),
        code = guess(&team.hub, Ipv4Addr::new(127, 0, 0, 4), 8) => assert_eq!(code, Some(RefusalCode::CodeInvalid)),
    }
    drop(team.device(1).await);
    let rows = team.hub.json(&["audit", "verify"]);
    assert_eq!(rows["bad"], serde_json::Value::Null, "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_handshakes_end_and_keep_no_other_address_out() {
    let mut team = Team::new();
    let folder = team.hub.folder().to_owned();
    // A hub that takes four connections in their handshake at once, so one from each address.
    team.hub.kill();
    team.hub = Hub::start_with(&folder, &["listen.handshakes_max=4"]);
    let silent: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(team.hub.address()).unwrap()).collect();
    // They say nothing, and nobody else gets in from their address; from another one a device is served at once.
    let tls = raw::tls_from(Ipv4Addr::new(127, 0, 0, 2), &team.hub.address()).await;
    let mut other = websocket(&team.hub, tls).await;
    assert!(matches!(next(&mut other).await, Some(HubFrame::Challenge { .. })));
    let ends = tokio::task::spawn_blocking(move || {
        for mut stream in silent {
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
        }
    });
    within("the end of the silent ones", ends).await.unwrap();
    let device = team.device(1).await;
    assert!(device.status().online);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_does_not_read_holds_nobody_up() {
    let mut team = Team::new();
    let conversation = team.conversation();
    let (anna, ben) = (team.device(2).await, team.device(3).await);
    let mut view = team.open(&ben, conversation).await;
    // A third device is enrolled and its process stopped: its socket fills and is not read.
    let (home, link) = (team.home(), team.link(1));
    let home = home.to_str().unwrap().to_owned();
    let enrolled = lockstep_e2e::lockstep(team.hub.folder(), &["client", "--home", &home, "enrol", &link.to_string()]);
    assert!(enrolled.status.success());
    let mut stalled = std::process::Command::new(lockstep_e2e::program("lockstep"))
        .args(["--json", "client", "--home", &home, "watch", &conversation.to_string()])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 1];
    let mut output = stalled.stdout.take().unwrap();
    let mut reading = tokio::task::spawn_blocking(move || {
        output.read_exact(&mut first).unwrap();
        output
    });
    // It prints what comes after it has opened the conversation, so notes are written until it does.
    let first_line = async {
        loop {
            let note = anna.note(conversation, "seen by all").await.unwrap();
            view.until(|shown| shown.message(note).is_some()).await.unwrap();
            if let Ok(output) = tokio::time::timeout(Duration::from_millis(50), &mut reading).await {
                return output.unwrap();
            }
        }
    };
    let _output = within("the third device's first line", first_line).await;
    let stopped = std::process::Command::new("kill").arg("-STOP").arg(stalled.id().to_string()).status().unwrap();
    assert!(stopped.success());
    let mut most = 0.0;
    let body = "x".repeat(limits::BODY_BYTES_MAX);
    for number in 1..=STALLED_NOTES {
        let note = anna.note(conversation, &body).await.unwrap();
        if number % NOTES_IN_FLIGHT == 0 {
            within("the notes elsewhere", view.until(|shown| shown.message(note).is_some())).await.unwrap();
            most = raw::metrics(&team.hub.address()).await["lockstep_queued_bytes"].max(most);
        }
    }
    // One session's bound, one frame over it, and what is on its way to the two that read.
    let bound = (limits::SESSION_QUEUE_BYTES_MAX + limits::FRAME_BYTES_MAX) as f64
        + (2 * NOTES_IN_FLIGHT * limits::BODY_BYTES_MAX) as f64;
    assert!(most > limits::BODY_BYTES_MAX as f64, "something waits for the one that does not read");
    assert!(most < bound, "{most} bytes waited");
    stalled.kill().unwrap();
    stalled.wait().unwrap();
}

/// What one device does not read: many times what may wait for it.
const STALLED_NOTES: usize = 3_000;
/// Notes that may wait for the hub's disk: what waits there is not the third device's.
const NOTES_IN_FLIGHT: usize = 100;
