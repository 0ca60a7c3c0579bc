//! Inputs that are kept, in files of `corpus/`.
//!
//! A line is `decoder | what it is | input | expected error`, or `accepted`. The input is hex; text behind `text:`; either
//! may end in ` * N`, which repeats it. Lines that begin with # say something.

use std::path::Path;

use alloy_primitives::hex;

#[derive(Debug)]
pub struct Entry {
    pub decoder: String,
    pub name: String,
    pub bytes: Vec<u8>,
    pub expected: String,
}

/// Everything that is kept.
pub fn entries() -> Vec<Entry> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/decoders/corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("the corpus").map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts = files.into_iter().map(|path| std::fs::read_to_string(path).expect("a corpus file"));
    texts.flat_map(|text| text.lines().filter(|line| !line.starts_with('#')).map(entry).collect::<Vec<_>>()).collect()
}

fn entry(line: &str) -> Entry {
    let parts: Vec<&str> = line.splitn(4, " | ").collect();
    let [decoder, name, input, expected] = parts[..] else { panic!("four parts: {line}") };
    let (input, times) = match input.rsplit_once(" * ") {
        Some((input, times)) => (input, times.parse().expect("how often")),
        None => (input, 1),
    };
    let bytes = match input.strip_prefix("text:") {
        Some(text) => text.as_bytes().to_vec(),
        None => hex::decode(input.replace(' ', "")).expect("hex"),
    };
    Entry { decoder: decoder.into(), name: name.into(), bytes: bytes.repeat(times), expected: expected.into() }
}
