//! Imports in the simulator: what the migrate tool and the hub's driver do, with every conversation's past made up.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use lockstep_core::effect::ImportPlan;
use lockstep_core::input::{ImportSegment, Input};
use lockstep_protocol::document::ChainFact;
use lockstep_protocol::fact::{Direction, Fact, KeyId, Message};
use lockstep_protocol::frame::Outcome;
use lockstep_protocol::id::{ConversationId, DocumentId, FactId, ImportId, MemberId, MessageId};
use lockstep_protocol::import::{ImportPlace, Sifted, arrange, keys, sift};
use lockstep_protocol::refusal::{Refusal, RefusalCode};

use super::{Event, MS, WALL_MS, World};
use crate::checker::Violation;
use crate::rng::Rng;

/// Most facts of one segment here: small ones meet more.
const SEGMENT_FACTS_MAX: usize = 7;
const DAY_MS: u64 = 86_400_000;

/// Everything about imports that the simulator's person knows.
#[derive(Debug, Default)]
pub(super) struct Imports {
    /// Runs under way, by the request that they wait for.
    runs: BTreeMap<u64, Run>,
    /// Runs that began, for taking back.
    begun: Vec<(ConversationId, ImportId)>,
    /// Conversations that something was imported into.
    imported: BTreeSet<ConversationId>,
    /// Times that everything was run again at the end.
    reruns: u32,
}

/// One run of an import into one conversation.
#[derive(Clone, Debug)]
struct Run {
    conversation: ConversationId,
    import: ImportId,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// The hub was asked what it knows of these.
    Asked(Vec<Fact>),
    /// The first of these segments was built, or is being.
    Building(DocumentId, Vec<Vec<Fact>>),
    /// It is being taken back.
    Undoing,
}

impl Imports {
    pub(super) fn hub_stopped(&mut self) {
        // The tool lost its connection; whoever cares runs it again.
        self.runs.clear();
    }

    pub(super) fn is_idle(&self) -> bool {
        self.runs.is_empty()
    }
}

impl World {
    /// A conversation's past: always the same, as an export file is.
    fn past(&self, conversation: ConversationId) -> Vec<Fact> {
        let mut salt = [0; 8];
        salt.copy_from_slice(&conversation.0[..8]);
        let rng = &mut Rng::new(self.scenario.seed ^ u64::from_le_bytes(salt), 5);
        let members = self.scenario.members.len() as u64;
        let mut facts = Vec::new();
        let mut messages = Vec::new();
        let mut time_ms = WALL_MS - rng.between(2, 400) * DAY_MS;
        for number in 0..rng.between(1, 30) {
            time_ms += rng.skewed(1, 3 * 3_600_000);
            let mut id = || {
                time_ms += 1;
                FactId::from_parts(time_ms, u128::from(rng.any()))
            };
            let (message, own) = (MessageId(id().0), id());
            let dir = rng.weighted(&[(5, Direction::In), (4, Direction::Out), (1, Direction::Note)]);
            let by = if dir == Direction::In { 0 } else { rng.between(1, members) as u32 };
            facts.push(Fact::Message(Message {
                id: message,
                by: MemberId(by),
                dir,
                kind: "text".into(),
                body: format!("line {number}"),
                seen: None,
                re: None,
                media: None,
                src: Some(format!("chat.txt#{number}")),
            }));
            messages.push(message);
            let about = messages[rng.index(messages.len())];
            match rng.below(8) {
                0 => facts.push(Fact::Edit { message: about, id: own, body: format!("line {number}, better") }),
                1 => {
                    let by = MemberId(rng.between(1, members) as u32);
                    facts.push(Fact::Reaction { message: about, by, id: own, emoji: "+".into() });
                }
                2 => facts.push(Fact::Retraction { message, id: own, reason: String::new() }),
                // About something that the export does not have: sifted out.
                3 => facts.push(Fact::Edit { message: MessageId(own.0), id: own, body: "lost".into() }),
                _ => {}
            }
        }
        facts
    }

    /// Begins a run.
    pub(super) fn import(&mut self, pick: u64) -> Result<(), Violation> {
        let conversation = self.conversations[(pick & 0xffff_ffff) as usize % self.conversations.len()];
        let mut facts = self.past(conversation);
        // A newer export has more.
        facts.truncate(1 + facts.len() * ((pick >> 32) as usize % 4 + 1) / 4);
        self.begin_import(conversation, facts)
    }

    fn begin_import(&mut self, conversation: ConversationId, facts: Vec<Fact>) -> Result<(), Violation> {
        if self.hub.core.is_none() {
            return Ok(());
        }
        let import = ImportId(self.rng.bytes());
        self.imports.begun.push((conversation, import));
        self.imports.imported.insert(conversation);
        let keys = keys(&facts);
        let request = self.wait_for(Run { conversation, import, stage: Stage::Asked(facts) });
        self.hub_input(Input::ImportAsked { request, conversation, keys })
    }

    fn wait_for(&mut self, run: Run) -> u64 {
        self.next_request += 1;
        self.imports.runs.insert(self.next_request, run);
        self.next_request
    }

    /// The hub says what it knows.
    pub(super) fn import_planned(
        &mut self,
        request: u64,
        outcome: Result<ImportPlan, Box<Refusal>>,
    ) -> Result<(), Violation> {
        let Some(Run { conversation, import, stage: Stage::Asked(facts) }) = self.imports.runs.remove(&request) else {
            return Violation::fail("import", format!("request {request} was not asked"));
        };
        let plan = match outcome {
            Ok(plan) => plan,
            Err(refusal) => return tolerated(&refusal),
        };
        let known: BTreeMap<KeyId, _> = keys(&facts).into_iter().zip(plan.known).collect();
        let Sifted { fresh, .. } = sift(facts, &known);
        if self.imports.reruns > 1 && !fresh.is_empty() && !self.scenario.keeps {
            return Violation::fail("import-rerun", format!("{conversation:?} lacks {} facts: {fresh:?}", fresh.len()));
        }
        let segments = arrange(fresh);
        let segments: Vec<Vec<Fact>> =
            segments.iter().flat_map(|facts| facts.chunks(SEGMENT_FACTS_MAX)).map(<[Fact]>::to_vec).collect();
        self.say(|| format!("import into {conversation:?}: {} segments from {:?}", segments.len(), plan.document));
        self.build(Run { conversation, import, stage: Stage::Building(plan.document, segments) })
    }

    /// A worker builds a run's next segment.
    fn build(&mut self, run: Run) -> Result<(), Violation> {
        let Stage::Building(document, segments) = &run.stage else { return Ok(()) };
        let (document, import) = (*document, run.import);
        let Some(facts) = segments.first().cloned() else { return Ok(()) };
        let place = ImportPlace { hub: self.hub.identity.hub, import, document };
        let derived = match place.derive(&facts) {
            Ok(derived) => derived,
            Err(refused) => return Violation::fail("import", format!("{refused:?} in {facts:?}")),
        };
        let actor = place.actor();
        let placed = (1..).zip(&facts).map(|(seq, fact)| ChainFact { actor, seq, fact: fact.clone() }).collect();
        let heads = [(actor, derived.head)].into();
        let Some(bytes) = self.scenario.worker.save(document.kind, None, placed, Some(&heads)) else {
            return Violation::fail("import", format!("{document:?} cannot be built"));
        };
        let segment = ImportSegment { document, import, facts, head: derived.head, bytes: Bytes::from(bytes) };
        let request = self.wait_for(run);
        let delay_us = self.rng.skewed(100, 200 * MS);
        let run = self.hub.run;
        self.after(delay_us, Event::ImportBuilt { run, request, segment: Box::new(segment) });
        Ok(())
    }

    pub(super) fn import_built(
        &mut self,
        run: u64,
        request: u64,
        segment: Box<ImportSegment>,
    ) -> Result<(), Violation> {
        if run == self.hub.run { self.hub_input(Input::ImportBuilt { request, segment }) } else { Ok(()) }
    }

    /// The hub answered a segment or an undoing; false if the answer is for somebody else.
    pub(super) fn import_answered(&mut self, request: u64, outcome: &Outcome) -> Result<bool, Violation> {
        let Some(mut run) = self.imports.runs.remove(&request) else { return Ok(false) };
        self.say(|| format!("import {request} → {outcome:?}"));
        match (&mut run.stage, outcome) {
            (Stage::Undoing, Outcome::Done(_)) => {}
            (Stage::Building(document, segments), Outcome::Done(_)) => {
                segments.remove(0);
                document.number += 1;
                self.build(run)?;
            }
            (Stage::Building(document, _), Outcome::Refused(Refusal { open: Some(open), .. })) => {
                *document = *open;
                self.build(run)?;
            }
            (_, Outcome::Refused(refusal)) => tolerated(refusal)?,
            _ => return Violation::fail("import", format!("{run:?} is answered {outcome:?}")),
        }
        Ok(true)
    }

    /// Takes a run back.
    pub(super) fn undo_import(&mut self, pick: u64) -> Result<(), Violation> {
        let count = self.imports.begun.len();
        if self.hub.core.is_none() || count == 0 {
            return Ok(());
        }
        let (conversation, import) = self.imports.begun[pick as usize % count];
        let request = self.wait_for(Run { conversation, import, stage: Stage::Undoing });
        self.hub_input(Input::UndoAsked { request, conversation, import })
    }

    /// At the end everything that was ever imported is imported again, twice: the second time adds nothing. False while
    /// there is more to do.
    pub(super) fn imports_rerun(&mut self) -> Result<bool, Violation> {
        if self.imports.reruns == 2 || self.imports.imported.is_empty() {
            return self.check_all_imported().map(|()| true);
        }
        self.imports.reruns += 1;
        let directory = self.checker.model.directory();
        let known: Vec<ConversationId> =
            self.imports.imported.iter().filter(|id| directory.conversations.contains_key(id)).copied().collect();
        for conversation in known {
            let facts = self.past(conversation);
            self.begin_import(conversation, facts)?;
        }
        Ok(false)
    }
}

impl World {
    /// After the last run every line stands.
    fn check_all_imported(&self) -> Result<(), Violation> {
        // What is older than the keep time goes again.
        if self.scenario.keeps {
            return Ok(());
        }
        let model = &self.checker.model;
        for conversation in self.imports.imported.iter().filter(|id| model.directory().conversations.contains_key(id)) {
            let lost = self.past(*conversation).into_iter().find(|fact| {
                matches!(fact, Fact::Message(_)) && !model.keys.contains_key(&(*conversation, fact.key_id()))
            });
            if let Some(fact) = lost {
                return Violation::fail("import-rerun", format!("{conversation:?} was run again and lacks {fact:?}"));
            }
        }
        Ok(())
    }
}

/// What may come of a run when others run, undo or restore at the same time. Whoever cares runs it again.
fn tolerated(refusal: &Refusal) -> Result<(), Violation> {
    match refusal.known() {
        Some(
            RefusalCode::Busy
            | RefusalCode::Draining
            | RefusalCode::ConversationUnknown
            | RefusalCode::KeyTaken
            | RefusalCode::MessageIdTaken
            | RefusalCode::TargetUnknown,
        ) => Ok(()),
        _ => Violation::fail("import", format!("refused: {refusal:?}")),
    }
}
