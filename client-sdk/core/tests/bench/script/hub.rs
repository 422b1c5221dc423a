//! A hub without rules: it answers what the script says.

use super::*;

impl Bench {
    pub(super) fn stamp(&mut self, member: MemberId, verdict: Verdict) -> Stamp {
        self.lsn += 1;
        Stamp { lsn: Lsn(self.lsn), at_ms: self.now.wall_ms, member, verdict, mac: Mac::default() }
    }

    pub(super) fn witness(&self) -> Cursor {
        Cursor { epoch: epoch(self.epoch), lsn: Lsn(self.lsn), tag: CursorTag::default() }
    }

    /// `ok held flag never:CODE dup full:1 …`, one word a fact of the oldest push.
    pub(super) fn ack(&mut self, words: &str) {
        let push = self.pushes.pop_front().expect("a push waits");
        let mut results = Vec::new();
        for (word, fact) in words.split_whitespace().zip(&push.facts) {
            let collision = Collision { cause: CollisionCause::Window, winner: None, by: OTHER };
            let verdict = match word {
                "ok" => Verdict::Accepted,
                "held" => Verdict::Held(collision),
                "flag" => Verdict::Flagged(collision),
                refusal => {
                    results.push(Outcome::Refused(self.refusal(refusal)));
                    break;
                }
            };
            let stamp = self.stamp(ME, verdict);
            results.push(Outcome::Placed { hash: fact.hash, stamp });
        }
        let witness = self.witness();
        self.frame(HubFrame::Ack { tag: push.tag, results, witness });
    }

    pub(super) fn refusal(&mut self, word: &str) -> Refusal {
        let (name, argument) = word.split_once(':').unwrap_or((word, "0"));
        let number: u64 = argument.parse().expect("a number");
        let mut refusal = Refusal::from(code(name));
        match name {
            "full" | "unknown" => refusal.open = Some(segment(number as u32)),
            "ahead" => refusal.now_ms = Some(START_MS + number),
            "gap" => refusal.next = Some(number as u32),
            "dup" => {
                refusal.document = Some(segment(0));
                refusal.stamp = Some(Stamp { lsn: Lsn(number), ..self.stamp(ME, Verdict::Accepted) });
            }
            _ => {}
        }
        refusal
    }

    /// Answers the oldest Resolve, Offer or Command.
    pub(super) fn done(&mut self, words: &str) {
        let frame = self.frames.pop_front().expect("a frame waits");
        let tag = match frame {
            DeviceFrame::Resolve(resolve) => resolve.tag,
            DeviceFrame::Offer { tag, .. } | DeviceFrame::Command { tag, .. } | DeviceFrame::Mark { tag, .. } => tag,
            other => panic!("not a question: {other:?}"),
        };
        let results = words.split_whitespace().map(|word| match word {
            "ok" => Outcome::Done(Lsn(self.lsn)),
            "known" => Outcome::Known,
            "readmitted" => Outcome::Readmitted(Lsn(self.lsn)),
            other => Outcome::Refused(Refusal::from(code(other))),
        });
        let results = results.collect();
        let witness = self.witness();
        self.frame(HubFrame::Ack { tag, results, witness });
    }

    /// The next placed fact of the other member's chain in a document.
    pub(super) fn other_fact(&mut self, document: DocumentId, chain: u8, text: &str) -> PlacedFact {
        let id = MessageId::from_parts(START_MS + 1 + self.lsn, u128::from(chain));
        self.messages.insert(text.to_owned(), id);
        self.other_message(document, chain, text, id)
    }

    fn other_message(&mut self, document: DocumentId, chain: u8, text: &str, id: MessageId) -> PlacedFact {
        let message = Message {
            id,
            by: OTHER,
            dir: Direction::Out,
            kind: "text".to_owned(),
            body: text.to_owned(),
            seen: None,
            re: None,
            media: None,
            src: None,
        };
        let fact = Fact::Message(message);
        let actor = ActorId([chain; 16]);
        let (_, head) = self.others.entry((document, chain)).or_insert((actor, ChainHead::empty(document.kind)));
        *head = derive(&actor, head, &fact);
        let opening = (head.seq == 1).then_some(Opening { device: DeviceId([chain; 16]), nonce: Nonce([chain; 16]) });
        PlacedFact { document, actor, seq: head.seq, hash: head.hash.prefix(), fact, opening, origin: None }
    }

    /// `[from=N] [+text | s1+text | opened1 | import0:a,<b | undo0 | expired0 | old-import0 | shredded | grant | revoke | own]*`: one Entries frame after the
    /// cursor. `missed+text` is not in it; `back+text` brings a known message by another chain; `assign:N` and
    /// `unassign:N` name a member.
    pub(super) fn entries(&mut self, words: &str) {
        let mut from = self.device.meta().cursor.map_or(Lsn::ZERO, |cursor| cursor.lsn);
        let (mut entries, mut granted, mut revoked) = (Vec::new(), Vec::new(), Vec::new());
        for word in words.split_whitespace() {
            if let Some(number) = word.strip_prefix("from=") {
                from = Lsn(number.parse().expect("a number"));
            } else if let Some(text) = word.strip_prefix("missed+") {
                self.lsn += 1;
                self.other_fact(segment(0), 0xbb, text);
            } else if let Some(text) = word.strip_prefix("back+") {
                let placed = self.other_message(segment(0), 0xdd, text, self.messages[text]);
                let stamp = self.stamp(ME, Verdict::Accepted);
                entries.push(Entry { stamp, body: EntryBody::Fact(placed) });
            } else if let Some((word @ ("assign" | "unassign"), member)) = word.split_once(':') {
                let (conversation, member) = (CONVERSATION, MemberId(member.parse().expect("a number")));
                let event = match word {
                    "assign" => DirectoryEvent::Assigned { conversation, member },
                    _ => DirectoryEvent::Unassigned { conversation, member },
                };
                let stamp = self.stamp(OTHER, Verdict::Accepted);
                entries.push(Entry { stamp, body: EntryBody::Directory(event) });
            } else if word == "grant" {
                self.lsn += 1;
                granted.push(Grant { conversation: CONVERSATION, lsn: Lsn(self.lsn) });
            } else if word == "revoke" {
                self.lsn += 1;
                revoked.push(CONVERSATION);
            } else if let Some(number) = word.strip_prefix("opened") {
                let document = segment(number.parse().expect("a number"));
                let stamp = self.stamp(MemberId::HUB, Verdict::Accepted);
                entries.push(Entry { stamp, body: EntryBody::Opened { document } });
            } else if let Some(text) = word.strip_prefix("import") {
                let (number, texts) = text.split_once(':').expect("number:texts");
                entries.push(self.import(number.parse().expect("a number"), texts));
            } else if let Some(number) = word.strip_prefix("undo") {
                let document = DocumentId::imported(CONVERSATION, number.parse().expect("a number"));
                let stamp = self.stamp(MemberId::HUB, Verdict::Accepted);
                let event = DirectoryEvent::ImportUndone { document, import: ImportId([1; 16]) };
                entries.push(Entry { stamp, body: EntryBody::Directory(event) });
            } else if let Some(number) = word.strip_prefix("expired") {
                let document = segment(number.parse().expect("a number"));
                let stamp = self.stamp(MemberId::HUB, Verdict::Accepted);
                entries.push(Entry {
                    stamp,
                    body: EntryBody::Directory(DirectoryEvent::Expired { document, newest_ms: 0 }),
                });
            } else if let Some(number) = word.strip_prefix("old-import") {
                let document = DocumentId::imported(CONVERSATION, number.parse().expect("a number"));
                let stamp = self.stamp(MemberId::HUB, Verdict::Accepted);
                entries.push(Entry {
                    stamp,
                    body: EntryBody::Directory(DirectoryEvent::Expired { document, newest_ms: 0 }),
                });
            } else if word == "shredded" {
                let stamp = self.stamp(MemberId::HUB, Verdict::Accepted);
                let event = DirectoryEvent::ConversationShredded { conversation: CONVERSATION };
                entries.push(Entry { stamp, body: EntryBody::Directory(event) });
            } else if let Some(text) = word.strip_prefix("sent-anyway:") {
                let stamp = self.stamp(ME, Verdict::Accepted);
                let (document, message, resolution) = (segment(0), self.messages[text], Resolution::Send);
                entries.push(Entry { stamp, body: EntryBody::Resolved { document, message, resolution } });
            } else if word == "pushed" {
                // What the oldest push holds, in full, as after a lost Ack.
                let push = self.pushes.pop_front().expect("a push waits");
                for (at, fact) in push.facts.iter().enumerate() {
                    let stamp = self.stamp(ME, Verdict::Accepted);
                    let seq = push.seq + u32::try_from(at).expect("few");
                    let opening =
                        push.nonce.filter(|_| seq == 1).map(|nonce| Opening { device: DeviceId::default(), nonce });
                    let placed = PlacedFact {
                        document: push.document,
                        actor: push.actor,
                        seq,
                        hash: fact.hash,
                        fact: fact.fact.clone(),
                        opening,
                        origin: None,
                    };
                    entries.push(Entry { stamp, body: EntryBody::Fact(placed) });
                }
            } else if word == "forked" {
                // Another fact at the next place of this device's own chain.
                let own = self.device_own(segment(0));
                let stamp = self.stamp(ME, Verdict::Accepted);
                let mut placed = self.other_fact(segment(0), 0xee, "other-life");
                let head = derive(&own.0, &own.1, &placed.fact);
                (placed.actor, placed.seq, placed.hash) = (own.0, head.seq, head.hash.prefix());
                entries.push(Entry { stamp, body: EntryBody::Fact(placed) });
            } else {
                let (name, text) = word.split_once('+').expect("a fact");
                let document = segment(name.strip_prefix('s').map_or(0, |number| number.parse().expect("a number")));
                let placed = self.other_fact(document, 0xbb, text);
                let stamp = self.stamp(OTHER, Verdict::Accepted);
                entries.push(Entry { stamp, body: EntryBody::Fact(placed) });
            }
        }
        let entries = entries.iter().map(|entry| EntryBytes(entry.to_bytes())).collect();
        let (upto, tag) = (Lsn(self.lsn), CursorTag::default());
        self.frame(HubFrame::Entries(Entries { from, upto, tag, entries, granted, revoked }));
    }

    /// The entry of an imported segment of messages with these texts, each by this member or (`<text`) the customer.
    fn import(&mut self, number: u32, texts: &str) -> Entry {
        let document = DocumentId::imported(CONVERSATION, number);
        let place = ImportPlace { hub: HubId([1; 16]), import: ImportId([1; 16]), document };
        let mut facts = Vec::new();
        for (at, text) in texts.split(',').enumerate() {
            let id = MessageId::from_parts(START_MS / 2 + u64::from(number) * 100 + at as u64, 1);
            let incoming = text.strip_prefix('<');
            let (dir, by) = if incoming.is_some() { (Direction::In, MemberId(0)) } else { (Direction::Out, ME) };
            let body = incoming.unwrap_or(text).to_owned();
            self.messages.insert(body.clone(), id);
            let (kind, src) = ("text".to_owned(), Some(format!("chat.txt#{at}")));
            facts.push(Fact::Message(Message { id, by, dir, kind, body, seen: None, re: None, media: None, src }));
        }
        let imported = place.derive(&facts).expect("it stands").imported;
        let stamp = self.stamp(MemberId::HUB, Verdict::Accepted);
        let actor = place.actor();
        let placed = (1..).zip(facts).map(|(seq, fact)| ChainFact { actor, seq, fact }).collect();
        self.imports.insert(number, (stamp, imported, placed));
        Entry { stamp, body: EntryBody::Imported(imported) }
    }

    /// `N`: answers the oldest Fetch with imported segment N; `other`: its bytes hold other facts than announced.
    pub(super) fn snapshot_imported(&mut self, words: &str) {
        let Some(DeviceFrame::Fetch(fetch)) = self.frames.front().cloned() else { panic!("no fetch waits") };
        let (number, other) = words.split_once(' ').unwrap_or((words, ""));
        let (stamp, imported, mut facts) = self.imports[&number.parse().expect("a number")].clone();
        if other == "other" {
            facts.pop();
        }
        let mut table = Table::default();
        let index = table.epoch_index(epoch(self.epoch));
        table.events.push(TableEvent { epoch: index, stamp, body: EntryBody::Imported(imported) });
        let bytes = format!("imported {words}").into_bytes();
        self.bytes_facts.insert(bytes.clone(), facts);
        let (tag, document, upto, tail) = (fetch.tag, imported.document, stamp.lsn, Vec::new());
        self.frame(HubFrame::Snapshot(Snapshot { tag, document, upto, part: 0, last: true, bytes, table, tail }));
    }

    /// `[N]*`: the page that begins the answer to the oldest Fetch, with these imported segments.
    pub(super) fn listing(&mut self, words: &str) {
        let Some(DeviceFrame::Fetch(fetch)) = self.frames.front().cloned() else { panic!("no fetch waits") };
        let documents = words.split_whitespace().map(|number| {
            let (_, imported, _) = &self.imports[&number.parse().expect("a number")];
            CatalogueDocument { document: imported.document, digest: imported.digest }
        });
        let listed = CatalogueConversation {
            conversation: conversation_row().conversation,
            open_segment: 0,
            open_card: 0,
            newest: Lsn(self.lsn),
            markers: Vec::new(),
            documents: documents.collect(),
        };
        let (tag, conversations) = (Some(fetch.tag), vec![listed]);
        self.frame(HubFrame::Catalogue(Catalogue {
            tag,
            page: 0,
            conversations,
            team: None,
            end: None,
            shredded: None,
        }));
    }

    pub(super) fn device_own(&self, document: DocumentId) -> (ActorId, ChainHead) {
        let own = self.rows.documents[&document].own.expect("an own chain");
        (own.actor, ChainHead { ..own.head })
    }

    /// Answers the oldest Fetch with what the directory says as of an LSN: `15 2,3` for members 2 and 3 assigned.
    pub(super) fn described(&mut self, words: &str) {
        let Some(DeviceFrame::Fetch(fetch)) = self.frames.front() else { panic!("no fetch waits") };
        let (lsn, members) = words.split_once(' ').expect("LSN members");
        let members = members.split(',').map(|member| MemberId(member.parse().expect("a number")));
        let listed = CatalogueConversation {
            conversation: Conversation { assigned: members.collect(), ..conversation_row().conversation },
            open_segment: 0,
            open_card: 0,
            newest: Lsn(lsn.parse().expect("a number")),
            markers: Vec::new(),
            documents: Vec::new(),
        };
        let (tag, conversations) = (Some(fetch.tag), vec![listed]);
        self.frame(HubFrame::Catalogue(Catalogue {
            tag,
            page: 0,
            conversations,
            team: None,
            end: None,
            shredded: None,
        }));
    }

    /// `differs` (the conversation with differing documents), `bare` (without documents), `same`, `none`, or `shredded`,
    /// which says so: a catalogue of one page.
    pub(super) fn page(&mut self, what: &str) {
        let differs = CatalogueDocument { document: segment(0), digest: Default::default() };
        let mut differs_digest = differs;
        differs_digest.digest.0 = [7; 16];
        let listed = |documents| CatalogueConversation {
            conversation: conversation_row().conversation,
            open_segment: 0,
            open_card: 0,
            newest: Lsn(self.lsn),
            markers: Vec::new(),
            documents,
        };
        let same = || {
            let rows = self.rows.documents.values();
            let digest = |row: &lockstep_client_core::row::DocumentRow| row.listed.unwrap_or(row.digest);
            rows.map(|row| CatalogueDocument { document: row.document, digest: digest(row) }).collect()
        };
        let conversations = match what {
            "differs" => vec![listed(vec![differs_digest])],
            "same" => vec![listed(same())],
            "bare" => vec![listed(Vec::new())],
            _ => Vec::new(),
        };
        let end = Some(self.witness());
        self.frame(HubFrame::Catalogue(Catalogue {
            tag: None,
            page: 0,
            conversations,
            team: None,
            end,
            shredded: (what == "shredded").then(|| vec![CONVERSATION]),
        }));
    }

    /// Answers the oldest Fetch with one document: `tail` entries by the other member (`+text`), or `bytes +text`.
    pub(super) fn snapshot(&mut self, words: &str) {
        let Some(DeviceFrame::Fetch(fetch)) = self.frames.front().cloned() else { panic!("no fetch waits") };
        let mut table = Table::default();
        let index = table.epoch_index(epoch(self.epoch));
        let (mut tail, mut bytes, mut facts) = (Vec::new(), Vec::new(), Vec::new());
        for word in words.split_whitespace() {
            if word == "bytes" {
                bytes = b"saved".to_vec();
                continue;
            }
            let text = word.strip_prefix('+').expect("+text");
            let chain = if bytes.is_empty() { 0xcc } else { 0xcd };
            let placed = self.other_fact(segment(0), chain, text);
            let stamp = self.stamp(OTHER, Verdict::Accepted);
            if bytes.is_empty() {
                let entry = EntryBytes(Entry { stamp, body: EntryBody::Fact(placed) }.to_bytes());
                tail.push(TailEntry { epoch: index, entry });
            } else {
                table.facts.push(TableFact { actor: placed.actor, seq: placed.seq, epoch: index, stamp });
                facts.push(ChainFact { actor: placed.actor, seq: placed.seq, fact: placed.fact });
            }
        }
        self.bytes_facts.insert(bytes.clone(), facts);
        let (tag, document, upto) = (fetch.tag, segment(0), Lsn(self.lsn));
        self.frame(HubFrame::Snapshot(Snapshot { tag, document, upto, part: 0, last: true, bytes, table, tail }));
    }

    pub(super) fn fetched(&mut self, before: &str) {
        let Some(DeviceFrame::Fetch(fetch)) = self.frames.pop_front() else { panic!("no fetch waits") };
        let (tag, conversation) = (fetch.tag, fetch.conversation);
        self.frame(HubFrame::Fetched { tag, conversation, before: before.parse().ok() });
    }

    pub(super) fn unparsed(&mut self) {
        let Some(Effect::Apply(Apply::Parse { job, document, .. })) = self.parses.pop_front() else {
            panic!("nothing to parse")
        };
        self.input(Input::Applied { job, document, outcome: Err(ApplyFailure) });
    }

    /// The worker has done its oldest job on a live document.
    pub(super) fn built(&mut self) {
        let (job, document, heads) = match self.builds.pop_front() {
            Some(Effect::Apply(
                Apply::Build { job, document, heads, .. } | Apply::Extend { job, document, heads, .. },
            )) => (job, document, heads),
            _ => panic!("nothing to build"),
        };
        self.input(Input::Applied { job, document, outcome: Ok(AppliedDocument { facts: Vec::new(), heads }) });
    }

    pub(super) fn parsed(&mut self) {
        let Some(Effect::Apply(Apply::Parse { job, document, bytes })) = self.parses.pop_front() else {
            panic!("nothing to parse")
        };
        let facts = self.bytes_facts[&bytes.to_vec()].clone();
        let mut heads = BTreeMap::new();
        for fact in &facts {
            let head = heads.entry(fact.actor).or_insert(ChainHead::empty(document.kind));
            *head = derive(&fact.actor, head, &fact.fact);
        }
        self.input(Input::Applied { job, document, outcome: Ok(AppliedDocument { facts, heads }) });
    }
}

pub(super) fn code(name: &str) -> RefusalCode {
    match name {
        "busy" => RefusalCode::Busy,
        "gap" => RefusalCode::Gap,
        "full" => RefusalCode::SegmentFull,
        "unknown" => RefusalCode::DocumentUnknown,
        "forked" => RefusalCode::Forked,
        "ahead" => RefusalCode::ClockAhead,
        "dup" => RefusalCode::Duplicate,
        "key" => RefusalCode::KeyTaken,
        "never" => RefusalCode::MediaUnknown,
        "forbidden" => RefusalCode::WriteForbidden,
        "differs" => RefusalCode::HashDiffers,
        "exists" => RefusalCode::AlreadyExists,
        "full-list" => RefusalCode::ListFull,
        "code" => RefusalCode::CodeInvalid,
        "device" => RefusalCode::DeviceUnknown,
        "revoked" => RefusalCode::DeviceRevoked,
        "resolved" => RefusalCode::AlreadyResolved,
        "collides" => RefusalCode::StillCollides,
        "stamp" => RefusalCode::StampInvalid,
        "target" => RefusalCode::TargetUnknown,
        "conversation" => RefusalCode::ConversationUnknown,
        other => panic!("no such code: {other}"),
    }
}
