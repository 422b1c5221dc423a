//! Random scripts with crashes at any point: the device never panics, and its stored rows always fit each other.

use lockstep_client_core::planted::Planted;

use crate::script::Bench;

const STEPS: &[&str] = &[
    "online",
    "behind",
    "catalogue",
    "offline",
    "wait 700",
    "wait 31000",
    "wall 3600000",
    "wall 0",
    "write r",
    "note n",
    "edit r>e",
    "react r>x",
    "retract n>y",
    "edit n>f",
    "send-anyway r",
    "discard r",
    "read r",
    "type",
    "open",
    "older",
    "built",
    "persist",
    "persist",
    "persist",
    "crash",
    "ack ok ok ok ok ok ok ok ok",
    "ack ok held flag ok",
    "ack ok never",
    "ack forked",
    "ack full:1",
    "ack unknown:0",
    "ack ahead:0",
    "ack gap:1",
    "ack busy",
    "ack dup:5",
    "ack forbidden",
    "ack key",
    "done ok",
    "done busy",
    "done known readmitted stamp",
    "done conversation",
    "entries s0+a s1+b",
    "entries s0+c",
    "entries opened1",
    "entries grant",
    "entries pushed",
    "entries forked",
    "entries from=3 s0+d",
    "entries revoke grant",
    "entries revoke",
    "snapshot +old",
    "snapshot bytes +older",
    "parsed",
    "unparsed",
    "fetched none",
    "fetched 1",
    "rows",
    "epoch 2",
    "epoch 3",
    "small",
];

#[test]
fn any_order_of_inputs_leaves_consistent_rows() {
    for seed in 1..1_000_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut bench = Bench::new(Planted::default());
        bench.script("online; write r; note n");
        for _ in 0..120 {
            // xorshift64: any spread of numbers does.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let step = STEPS[usize::try_from(state % STEPS.len() as u64).expect("small")];
            if !bench.online() && state % 3 != 0 {
                bench.script("catalogue");
                bench.script(
                    ["page differs", "page same", "page same"][usize::try_from(state / 64 % 3).expect("small")],
                );
            } else if bench.can(step) {
                bench.script(step);
            }
        }
        bench.script("persist; rows");
    }
}
