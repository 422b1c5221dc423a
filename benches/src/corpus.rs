//! Messages as people write them: log-normal lengths around 80 bytes with a tail, several scripts, from a seed.

/// Words of some scripts. Synthetic: nobody wrote them to anybody.
const WORDS: [&[&str]; 5] = [
    &[
        "the", "order", "pallet", "please", "confirm", "delivery", "on", "Monday", "we", "need", "twelve", "more",
        "bags", "of", "rice", "thank", "you", "invoice", "truck", "before", "noon",
    ],
    &["ขอ", "ส่ง", "ข้าว", "สิบสอง", "ถุง", "วันจันทร์", "ขอบคุณค่ะ", "ราคา", "เท่าไร", "พรุ่งนี้", "เช้า", "ครับ"],
    &["कृपया", "कल", "सुबह", "ऑर्डर", "भेज", "दें", "धन्यवाद", "कीमत", "बारह", "बोरी", "चावल"],
    &["请", "明天", "上午", "送货", "十二", "袋", "大米", "谢谢", "发票", "多少钱", "确认"],
    &["من", "فضلك", "غدا", "صباحا", "اثنا عشر", "كيس", "أرز", "شكرا", "الفاتورة", "السعر"],
];
/// Median of the lengths, bytes.
const MEDIAN_BYTES: f64 = 80.0;
/// Standard deviation of their logarithm: one in a hundred is longer than 500 bytes.
const SIGMA: f64 = 0.8;
/// None is longer, bytes.
const BYTES_MAX: f64 = 8_000.0;

/// Bodies without end, the same ones for the same seed.
#[derive(Debug)]
pub(crate) struct Corpus {
    random: fastrand::Rng,
}

impl Corpus {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed) }
    }

    /// The next body.
    pub(crate) fn body(&mut self) -> String {
        // Box–Muller.
        let (one, other) = (1.0 - self.random.f64(), self.random.f64());
        let normal = (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * other).cos();
        let bytes = (MEDIAN_BYTES * (SIGMA * normal).exp()).min(BYTES_MAX);
        let words = WORDS[if self.random.u8(..) < 128 { 0 } else { self.random.usize(1..WORDS.len()) }];
        let mut body = String::new();
        while (body.len() as f64) < bytes {
            if !body.is_empty() {
                body.push(' ');
            }
            body.push_str(words[self.random.usize(..words.len())]);
        }
        body
    }
}
