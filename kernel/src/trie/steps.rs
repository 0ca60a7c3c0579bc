//! A trie that is changed key by key with all its nodes in memory: what test vectors describe.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_primitives::{B256, keccak256};
use alloy_trie::Nibbles;

use super::known::Known;
use super::sparse::{Edit, Update};
use super::tree::Tree;
use super::{EMPTY_ROOT, TrieError};

/// Root after setting keys one after the other, `None` deletes. Every step reads the nodes that the steps before it
/// wrote, by path. Keys are at most 32 bytes, none the beginning of another.
///
/// # Errors
/// When a step does not find a node that an earlier one wrote: a bug of the trie.
pub fn root_of_steps(steps: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<B256, TrieError> {
    let (mut nodes, mut root) = (BTreeMap::<Nibbles, Arc<[u8]>>::new(), EMPTY_ROOT);
    for (key, value) in steps {
        let edit = value.as_deref().map_or(Edit::Remove, |value| Edit::Set(value.into()));
        let updates = vec![Update { key: Nibbles::unpack(key), edit }];
        let mut tree = Tree::new(None, root, updates, &Known::Nothing);
        loop {
            let needs = tree.pass(&Known::Nothing)?;
            if needs.is_empty() {
                break;
            }
            for path in needs {
                tree.answer(path, nodes.get(&path).map(|rlp| (keccak256(rlp), Arc::clone(rlp))));
            }
        }
        let diff = tree.seal();
        root = diff.root;
        nodes.extend(diff.writes.into_iter().map(|(path, _, rlp)| (path, rlp)));
        for path in diff.deletes {
            nodes.remove(&path);
        }
    }
    Ok(root)
}
