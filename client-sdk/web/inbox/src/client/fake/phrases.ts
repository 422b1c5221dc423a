/** What the demo's people say, in several scripts. */

/** One customer's language: openings, answers, small talk. */
export interface Phrases {
  readonly names: readonly string[]
  readonly asks: readonly string[]
  readonly answers: readonly string[]
  readonly thanks: readonly string[]
}

/** By language. */
export const PHRASES: Readonly<Record<"en" | "th" | "hi" | "zh" | "ar", Phrases>> = {
  en: {
    names: ["Olivia Berg", "Tom Whitaker", "Priya Nair", "Jonas Keller", "Grace Adeyemi", "Lucas Moreau", "Hannah Stone", "Diego Ramos"],
    asks: [
      "Hi, is the blue jacket in stock in size M?",
      "My parcel still says “in transit” since Monday. Can you check?",
      "Could I change the delivery address? I typed the wrong house number, it should be 14b.",
      "Do you also repair older models? Mine is from 2019.",
      "I would like to book a table for six on Friday at 19:30.",
      "The app logs me out whenever I close it.",
    ],
    answers: [
      "Good morning! Let me look that up for you.",
      "It left our warehouse last night, so it should reach you tomorrow before noon.",
      "Done: I have changed it and sent you a new confirmation.",
      "Yes, we do. Could you send me a photo of the label on the back?",
    ],
    thanks: ["Perfect, thank you!", "That was quick. Thanks a lot!", "Great 👍", "Okay, I'll wait for it then."],
  },
  th: {
    names: ["ณภัทร สุขสันต์", "กมลชนก วงศ์ดี", "ธนากร ศรีสุข"],
    asks: ["สวัสดีค่ะ สินค้ายังมีของไหมคะ อยากได้สีขาวไซซ์เอส", "พัสดุยังไม่มาถึงเลยครับ สั่งไปตั้งแต่วันจันทร์", "ขอเปลี่ยนที่อยู่จัดส่งได้ไหมคะ"],
    answers: ["สวัสดีค่ะ ขอตรวจสอบสักครู่นะคะ", "จัดส่งแล้วเมื่อวานค่ะ น่าจะถึงพรุ่งนี้ช่วงเช้า", "เปลี่ยนให้เรียบร้อยแล้วครับ"],
    thanks: ["ขอบคุณมากค่ะ", "ได้ครับ ขอบคุณครับ"],
  },
  hi: {
    names: ["रोहित वर्मा", "कविता जोशी", "अमित चौधरी"],
    asks: ["नमस्ते, क्या यह कुर्ता लाल रंग में मिलेगा?", "मेरा ऑर्डर अभी तक नहीं पहुँचा है, कृपया देखिए।", "क्या मैं कल की जगह शनिवार को आ सकता हूँ?"],
    answers: ["नमस्ते! मैं अभी देखकर बताती हूँ।", "आपका पार्सल कल दोपहर तक पहुँच जाएगा।", "जी हाँ, शनिवार को सुबह दस बजे का समय है।"],
    thanks: ["बहुत धन्यवाद!", "ठीक है, शुक्रिया।"],
  },
  zh: {
    names: ["陈静", "刘洋", "赵敏"],
    asks: ["你好，这款还有黑色吗？", "我的快递三天没有更新了，麻烦帮我查一下。", "请问周末营业吗？"],
    answers: ["您好，我马上帮您查询。", "包裹昨晚已经发出，预计明天送达。", "营业的，上午十点到晚上九点。"],
    thanks: ["好的，谢谢！", "太好了，非常感谢。"],
  },
  ar: {
    names: ["يوسف المنصوري", "سارة خليل", "عمر الشريف"],
    asks: ["السلام عليكم، هل المقاس M متوفر؟", "طلبي رقم 4471 لم يصل بعد، هل يمكنكم التحقق؟", "هل يمكن تغيير عنوان التوصيل إلى Dubai Marina؟"],
    answers: ["وعليكم السلام، سأتحقق من ذلك حالاً.", "تم شحن الطلب أمس وسيصل غداً قبل الظهر.", "تم التغيير، وأرسلت لك تأكيداً جديداً."],
    thanks: ["شكراً جزيلاً!", "ممتاز، شكراً لكم."],
  },
}

/** A language of the demo. */
export type Language = keyof typeof PHRASES

/** In the order in which conversations take them. */
export const LANGUAGES: readonly Language[] = ["en", "th", "en", "hi", "zh", "en", "ar", "en"]
