//! The dictionary that small sealed rows are compressed with: trained on entries of made-up chats, and worth its place.
//!
//! `UPDATE_DICTIONARY=1 cargo nextest run -p lockstep-server dictionary` trains it anew. A new one must not replace one
//! that stores were written with: it gets a form of its own in `store/seal.rs`.

use lockstep_core::hub::HubConfig;
use lockstep_protocol::directory::{Conversation, Role};
use lockstep_protocol::fact::{Direction, Fact, Message};
use lockstep_protocol::frame::{Command, Outcome};
use lockstep_protocol::id::{ConversationId, DocumentId, MemberId, MessageId};
use lockstep_server::store::record::LogRecord;
use lockstep_sim::local::LocalHub;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/entries.dict");
const DICTIONARY_BYTES_MAX: usize = 16 * 1024;
const LEVEL: i32 = -1;

/// What people of a shop write, word by word. Made up: nobody wrote it to anybody.
const TRAINING: &[&str] = &[
    "hello good morning thank you very much please could you send me the price list when will it arrive my address is we \
     have sent your parcel today tracking number is it in stock how much does it cost sorry for the delay I will check and \
     let you know see you tomorrow payment received transfer account yes no okay great",
    "สวัสดีค่ะ สวัสดีครับ สินค้า พร้อมส่ง โอนเงิน แล้ว นะคะ ขอที่อยู่ ด้วยค่ะ จัดส่ง พรุ่งนี้ ขอบคุณมาก เท่าไหร่คะ รอสักครู่ เลขพัสดุ ได้เลยค่ะ",
    "नमस्ते जी हाँ नहीं कितना है कब तक मिलेगा पता भेजिए पैसे भेज दिए ठीक है शुक्रिया सामान आज कल दुकान खुली है",
    "您好 在吗 这个有货吗 多少 已经发货 地址 发一下 收到 好的 没问题 稍等 今天 下午 可以 谢谢您 快递 单号",
    "hola buenos días gracias cuánto cuesta tienen disponible el pedido ya salió mañana por la tarde la dirección es perfecto",
    "olá bom dia obrigado quanto custa tem em estoque o pedido já saiu amanhã de tarde o endereço é tudo bem pode ser",
    "مرحبا السلام عليكم كم السعر متى يصل الطلب العنوان تم التحويل شكرا جزيلا حسنا اليوم غدا إن شاء الله",
    "halo selamat pagi terima kasih berapa harganya barang ready kirim alamat sudah transfer besok siang baik kak ditunggu ya",
    "xin chào cảm ơn giá bao nhiêu còn hàng không gửi địa chỉ giúp em đã chuyển khoản ngày mai nhận được dạ vâng ạ",
    "здравствуйте спасибо сколько стоит есть в наличии заказ отправлен завтра адрес оплатил хорошо добрый день",
    "bonjour merci combien ça coûte est-ce disponible la commande est partie demain l'adresse est d'accord bonne journée",
    "guten Tag vielen Dank wie viel kostet das ist es lieferbar die Bestellung ist unterwegs morgen die Adresse ist in Ordnung",
];
/// Other words, by which the dictionary is judged: it has not seen them.
const JUDGING: &[&str] = &[
    "two pallets of cement were short on Friday the driver left before anyone had signed could the depot ring back about \
     credit notes and the broken forklift",
    "ปูนซีเมนต์ ขาด สองพาเลท วันศุกร์ คนขับ กลับไปก่อน เซ็นชื่อ รบกวน โกดัง โทรกลับ",
    "शुक्रवार को सीमेंट की दो बोरियाँ कम थीं ड्राइवर पहले चला गया गोदाम वापस फ़ोन करे",
    "周五水泥少了两托 司机没等签字就走了 仓库 请回电 说明 退款 叉车坏了",
    "el viernes faltaron dos palés de cemento el conductor se fue antes de firmar que llame el almacén",
];

fn random(state: &mut u64) -> u64 {
    *state += 1;
    u64::from_le_bytes(blake3::hash(&state.to_le_bytes()).as_bytes()[..8].try_into().unwrap())
}

fn body(vocabulary: &[&str], state: &mut u64) -> String {
    let sentences = vocabulary[random(state) as usize % vocabulary.len()];
    let words: Vec<&str> = sentences.split_whitespace().collect();
    let count = 2 + random(state) % 16;
    let words: Vec<&str> = (0..count).map(|_| words[random(state) as usize % words.len()]).collect();
    words.join(" ")
}

/// Rows of the log as they are before sealing.
fn rows(vocabulary: &[&str], seed: u64, count: usize) -> Vec<Vec<u8>> {
    let mut state = seed << 32;
    let mut hub = LocalHub::new(HubConfig::default());
    hub.add_member(2, Role::Agent);
    hub.add_member(3, Role::Agent);
    let devices = [hub.enrol(2, 2), hub.enrol(3, 3)];
    for _ in 0..count / 16 {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&random(&mut state).to_le_bytes());
        id[8..].copy_from_slice(&random(&mut state).to_le_bytes());
        let id = ConversationId(id);
        let assigned = vec![MemberId(2), MemberId(3)];
        let opened = Conversation { id, customer: "-".into(), service: None, assigned, keep: None };
        assert!(matches!(hub.administer(Command::ConversationOpen(opened)), Outcome::Done(_)));
        let document = DocumentId::segment(id, 0);
        let mut chains = [&devices[0], &devices[1]].map(|device| device.chain(document, random(&mut state) as u8));
        for _ in 0..16 {
            hub.now.wall_ms += random(&mut state) % 60_000;
            let who = random(&mut state) as usize % 2;
            let dir = [Direction::In, Direction::Note][random(&mut state) as usize % 2];
            let id = MessageId::from_parts(hub.now.wall_ms, (u128::from(random(&mut state)) << 16) & ((1 << 80) - 1));
            let (by, kind, body) = (MemberId(2 + who as u32), "text".to_owned(), body(vocabulary, &mut state));
            let message = Message { id, by, dir, kind, body, seen: None, re: None, media: None, src: None };
            let outcome = chains[who].push(&mut hub, &Fact::Message(message));
            // A customer's message is its channel's alone: then it is a note.
            drop(outcome);
        }
    }
    let entries = hub.committed.iter().flat_map(|batch| &batch.entries);
    let rows = entries.map(|entry| {
        let mut bytes = Vec::new();
        LogRecord::encode(entry, &mut bytes);
        bytes
    });
    rows.collect()
}

fn compressed_bytes(dictionary: &[u8], rows: &[Vec<u8>]) -> usize {
    let mut compressor = zstd::bulk::Compressor::with_dictionary(LEVEL, dictionary).unwrap();
    compressor.set_parameter(zstd::zstd_safe::CParameter::DictIdFlag(false)).unwrap();
    rows.iter().map(|row| compressor.compress(row).unwrap().len().min(row.len())).sum()
}

#[test]
fn the_dictionary_is_worth_its_place() {
    let trained = || zstd::dict::from_samples(&rows(TRAINING, 1, 8_000), DICTIONARY_BYTES_MAX).unwrap();
    if std::env::var_os("UPDATE_DICTIONARY").is_some() {
        std::fs::write(PATH, trained()).unwrap();
    }
    let dictionary = std::fs::read(PATH).unwrap();
    assert!(dictionary.len() <= DICTIONARY_BYTES_MAX);
    for (what, vocabulary) in [("seen", TRAINING), ("unseen", JUDGING)] {
        let judged = rows(vocabulary, 2, 2_000);
        let plain: usize = judged.iter().map(Vec::len).sum();
        let (with, without) = (compressed_bytes(&dictionary, &judged), compressed_bytes(&[], &judged));
        let each = |bytes: usize| bytes as f64 / judged.len() as f64;
        println!("{what}: {:.1} bytes a row, {:.1} without, {:.1} with", each(plain), each(without), each(with));
        // Less would not be worth a file that stores hang on for ever.
        assert!(10 * with <= 9 * without, "{what}: {with} bytes with it, {without} without");
    }
}
