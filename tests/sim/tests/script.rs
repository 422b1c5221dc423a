//! The corpus of the fuzz target `hub_script`, and random scripts, as ordinary tests.

use std::path::Path;

use lockstep_sim::script;

#[test]
fn the_corpus_breaks_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/hub_script");
    let mut run = 0;
    for file in std::fs::read_dir(folder).expect("the corpus is there") {
        script::run(&std::fs::read(file.expect("it can be read").path()).expect("a file"));
        run += 1;
    }
    assert!(run > 0, "the corpus is empty");
}

#[test]
fn random_scripts_break_nothing() {
    for seed in 0_u64..200 {
        // A plain generator, so that the same seed gives the same bytes for ever.
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let bytes: Vec<u8> = (0..1_500)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect();
        script::run(&bytes);
    }
}
