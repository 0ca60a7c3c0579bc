//! Updates of a sparse trie. What meets a node not read yet stays to be done, and its path is asked for.
//!
//! Every update is idempotent, so passing over a subtree again is harmless; a branch that still waits for a child is
//! left as it is (even with one child) and brought in order by a later pass.

use std::sync::Arc;

use alloy_primitives::B256;
use alloy_primitives::map::HashMap;
use alloy_trie::Nibbles;
use alloy_trie::nodes::RlpNode;
use rayon::prelude::*;

use super::PATH_NIBBLES_MAX;
use super::known::View;
use super::node::{Branch, Node};
use super::seal::{NIBBLES, below};

/// Depth above which children of a branch are updated side by side.
const PARALLEL_DEPTH: usize = 2;
/// Fewer updates than this are not worth a task.
const PARALLEL_UPDATES_MIN: usize = 128;

/// What happens at a key.
#[derive(Debug, Clone)]
pub enum Edit {
    Set(Arc<[u8]>),
    Remove,
    /// Nothing: the way to the key is revealed.
    Look,
}

#[derive(Debug, Clone)]
pub struct Update {
    pub key: Nibbles,
    pub edit: Edit,
}

/// An answer of the store, with its hash; `None` is "there is no such node".
pub type Answer = Option<(B256, Arc<[u8]>)>;
/// Answers by path.
pub type Answers = HashMap<Nibbles, Answer>;

/// The node at this path is not what its parent says.
#[derive(Debug)]
pub struct Corrupt(pub Nibbles);

/// Everything a pass reads.
pub struct Walk<'a> {
    pub updates: &'a [Update],
    pub answers: &'a Answers,
    pub known: View<'a>,
    /// Path length at which walks in this trie usually end.
    pub learned: usize,
}

/// Everything a pass finds.
#[derive(Debug)]
pub struct Found {
    /// Paths to ask for; may repeat.
    pub needs: Vec<Nibbles>,
    /// Updates to pass again, ascending.
    pub pending: Vec<u32>,
    /// Stored nodes that are now part of the picture.
    pub revealed: Vec<(Nibbles, Arc<[u8]>)>,
    /// How many walks ended at each path length.
    pub ends: [u32; PATH_NIBBLES_MAX + 1],
    pub cache_hits: u64,
}

impl Default for Found {
    fn default() -> Self {
        Self {
            needs: Vec::new(),
            pending: Vec::new(),
            revealed: Vec::new(),
            ends: [0; PATH_NIBBLES_MAX + 1],
            cache_hits: 0,
        }
    }
}

impl Found {
    fn append(&mut self, mut other: Self) {
        self.needs.append(&mut other.needs);
        self.pending.append(&mut other.pending);
        self.revealed.append(&mut other.revealed);
        for (sum, part) in self.ends.iter_mut().zip(other.ends) {
            *sum += part;
        }
        self.cache_hits += other.cache_hits;
    }

    fn ended(&mut self, depth: usize) {
        self.ends[depth.min(PATH_NIBBLES_MAX)] += 1;
    }
}

impl Walk<'_> {
    /// Apply the updates `todo` (indices, ascending by key) to `node` at `path`; whether anything below changed.
    pub fn apply(&self, node: &mut Node, path: Nibbles, todo: &[u32], out: &mut Found) -> Result<bool, Corrupt> {
        if todo.is_empty() {
            return Ok(false);
        }
        if let Node::Blind(hash) = *node {
            let Some(revealed) = self.reveal(hash, path, out)? else {
                self.ask(path, todo, out);
                out.pending.extend_from_slice(todo);
                return Ok(false);
            };
            *node = revealed;
        }
        match node {
            Node::Empty => self.apply_empty(node, path, todo, out),
            Node::Blind(_) => Err(Corrupt(path)),
            Node::Leaf(_) => self.apply_leaf(node, path, todo, out),
            Node::Extension(_) => self.apply_extension(node, path, todo, out),
            Node::Branch(_) => self.apply_branch(node, path, todo, out),
        }
    }

    /// The stored node at `path` whose hash is `hash`; `None` when it must be asked for.
    pub fn reveal(&self, hash: B256, path: Nibbles, out: &mut Found) -> Result<Option<Node>, Corrupt> {
        let rlp = match self.answers.get(&path) {
            Some(Some((found, rlp))) if *found == hash => rlp.clone(),
            Some(_) => return Err(Corrupt(path)),
            None => match self.known.get(path, hash) {
                Some(rlp) => {
                    out.cache_hits += 1;
                    rlp
                }
                None => return Ok(None),
            },
        };
        let node = Node::decode(&rlp, path.len(), RlpNode::word_rlp(&hash)).ok_or(Corrupt(path))?;
        out.revealed.push((path, rlp));
        Ok(Some(node))
    }

    /// Ask for `path`, and in the same round for what probably lies below it on the way to each key.
    pub fn ask(&self, path: Nibbles, todo: &[u32], out: &mut Found) {
        out.needs.push(path);
        let deepest = if path.len() <= self.learned { self.learned } else { path.len() + 1 };
        // Level by level, which is the order of node keys; what a key shares with the one before stands there already.
        let shared = |place: usize| {
            let before = place.checked_sub(1).map(|before| self.update(todo[before]).key);
            before.map_or(0, |before| before.common_prefix_length(&self.update(todo[place]).key))
        };
        let shared: Vec<usize> = (0..todo.len()).map(shared).collect();
        for length in path.len() + 1..=deepest {
            for (&index, &shared) in todo.iter().zip(&shared) {
                let key = &self.update(index).key;
                if length <= shared || length > key.len() {
                    continue;
                }
                let guess = key.slice(..length);
                if !self.known.holds(guess) && !self.answers.contains_key(&guess) {
                    out.needs.push(guess);
                }
            }
        }
    }

    fn update(&self, index: u32) -> &Update {
        &self.updates[index as usize]
    }

    fn apply_empty(&self, node: &mut Node, path: Nibbles, todo: &[u32], out: &mut Found) -> Result<bool, Corrupt> {
        out.ended(path.len().saturating_sub(1));
        for (place, &index) in todo.iter().enumerate() {
            let update = self.update(index);
            if let Edit::Set(value) = &update.edit {
                *node = Node::leaf(update.key.slice(path.len()..), value.clone());
                self.apply(node, path, &todo[place + 1..], out)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn apply_leaf(&self, node: &mut Node, path: Nibbles, todo: &[u32], out: &mut Found) -> Result<bool, Corrupt> {
        let Node::Leaf(leaf) = node else { return Err(Corrupt(path)) };
        out.ended(path.len());
        let key = path.join(&leaf.suffix);
        let (mut changed, mut removed, mut shared) = (false, false, PATH_NIBBLES_MAX);
        let mut others = Vec::new();
        for &index in todo {
            let update = self.update(index);
            match &update.edit {
                Edit::Look => {}
                Edit::Remove => removed |= update.key == key,
                Edit::Set(value) if update.key == key => {
                    if *value != leaf.value {
                        leaf.value = value.clone();
                        leaf.reference = None;
                        changed = true;
                    }
                }
                Edit::Set(_) => {
                    shared = shared.min(update.key.common_prefix_length(&key) - path.len());
                    others.push(index);
                }
            }
        }
        if removed {
            *node = Node::Empty;
            self.apply(node, path, &others, out)?;
            return Ok(true);
        }
        if others.is_empty() {
            return Ok(changed);
        }
        let nibble = leaf.suffix.get(shared).ok_or(Corrupt(path))?;
        let prefix = leaf.suffix.slice(..shared);
        let mut branch = Box::<Branch>::default();
        branch.children[usize::from(nibble)] = Node::leaf(leaf.suffix.slice(shared + 1..), leaf.value.clone());
        *node = Node::extended(prefix, Node::Branch(branch));
        self.apply(node, path, &others, out)?;
        Ok(true)
    }

    fn apply_extension(&self, node: &mut Node, path: Nibbles, todo: &[u32], out: &mut Found) -> Result<bool, Corrupt> {
        let Node::Extension(extension) = node else { return Err(Corrupt(path)) };
        let end = path.join(&extension.path);
        let mut shared = end.len();
        let mut through = Vec::with_capacity(todo.len());
        for &index in todo {
            let update = self.update(index);
            if update.key.starts_with(&end) {
                through.push(index);
            } else if matches!(update.edit, Edit::Set(_)) {
                shared = shared.min(update.key.common_prefix_length(&end));
            }
        }
        if shared < end.len() {
            let shared = shared - path.len();
            let nibble = extension.path.get(shared).ok_or(Corrupt(path))?;
            let mut branch = Box::<Branch>::default();
            branch.children[usize::from(nibble)] =
                Node::extended(extension.path.slice(shared + 1..), std::mem::take(&mut extension.child));
            *node = Node::extended(extension.path.slice(..shared), Node::Branch(branch));
            self.apply(node, path, todo, out)?;
            return Ok(true);
        }
        if through.is_empty() {
            out.ended(path.len());
            return Ok(false);
        }
        if !self.apply(&mut extension.child, end, &through, out)? {
            return Ok(false);
        }
        extension.reference = None;
        match std::mem::take(&mut extension.child) {
            Node::Empty => *node = Node::Empty,
            Node::Leaf(mut leaf) => {
                leaf.suffix = extension.path.join(&leaf.suffix);
                leaf.reference = None;
                *node = Node::Leaf(leaf);
            }
            Node::Extension(mut lower) => {
                lower.path = extension.path.join(&lower.path);
                lower.reference = None;
                *node = Node::Extension(lower);
            }
            child => extension.child = child,
        }
        Ok(true)
    }

    fn apply_branch(&self, node: &mut Node, path: Nibbles, todo: &[u32], out: &mut Found) -> Result<bool, Corrupt> {
        let Node::Branch(branch) = node else { return Err(Corrupt(path)) };
        let waiting = out.pending.len();
        let groups = self.groups(path, todo)?;
        let mut changed = false;
        if path.len() < PARALLEL_DEPTH && todo.len() >= PARALLEL_UPDATES_MIN {
            let parts: Vec<Result<(bool, Found), Corrupt>> = branch
                .children
                .par_iter_mut()
                .zip(groups)
                .zip(NIBBLES)
                .map(|((child, group), nibble)| {
                    let mut part = Found::default();
                    Ok((self.apply(child, below(path, nibble), group, &mut part)?, part))
                })
                .collect();
            for part in parts {
                let (part_changed, part) = part?;
                changed |= part_changed;
                out.append(part);
            }
        } else {
            for (nibble, (child, group)) in (0_u8..).zip(branch.children.iter_mut().zip(groups)) {
                if !group.is_empty() {
                    changed |= self.apply(child, below(path, nibble), group, out)?;
                }
            }
        }
        if changed {
            branch.reference = None;
        }
        if out.pending.len() == waiting {
            changed |= self.collapse(node, path, todo, out)?;
        }
        Ok(changed)
    }

    /// `todo` split by the nibble after `path`.
    fn groups<'t>(&self, path: Nibbles, todo: &'t [u32]) -> Result<[&'t [u32]; 16], Corrupt> {
        let mut groups = [&todo[..0]; 16];
        let mut rest = todo;
        while let Some(&first) = rest.first() {
            let nibble = self.update(first).key.get(path.len()).ok_or(Corrupt(path))?;
            let length = rest.partition_point(|&index| self.update(index).key.get(path.len()) <= Some(nibble));
            let (group, next) = rest.split_at(length);
            groups[usize::from(nibble)] = group;
            rest = next;
        }
        Ok(groups)
    }

    /// A branch with one child left becomes part of it: that needs the child's type.
    fn collapse(&self, node: &mut Node, path: Nibbles, todo: &[u32], out: &mut Found) -> Result<bool, Corrupt> {
        let Node::Branch(branch) = node else { return Ok(false) };
        let mut live = (0_u8..).zip(branch.children.iter_mut()).filter(|(_, child)| !child.is_empty());
        let Some((nibble, child)) = live.next() else {
            *node = Node::Empty;
            return Ok(true);
        };
        if live.next().is_some() {
            return Ok(false);
        }
        if let Node::Blind(hash) = *child {
            let child_path = below(path, nibble);
            let Some(revealed) = self.reveal(hash, child_path, out)? else {
                out.needs.push(child_path);
                // Any update of this pass leads here again, and changes nothing on its way.
                out.pending.extend(todo.first());
                return Ok(false);
            };
            *child = revealed;
        }
        let first = Nibbles::from_nibbles([nibble]);
        *node = match std::mem::take(child) {
            Node::Leaf(mut leaf) => {
                leaf.suffix = first.join(&leaf.suffix);
                leaf.reference = None;
                Node::Leaf(leaf)
            }
            Node::Extension(mut extension) => {
                extension.path = first.join(&extension.path);
                extension.reference = None;
                Node::Extension(extension)
            }
            child => Node::extended(first, child),
        };
        Ok(true)
    }
}
