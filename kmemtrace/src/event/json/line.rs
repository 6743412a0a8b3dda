//! One line: every field of the format, in the order in which it is written, for writing as well as for reading.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
    ser::SerializeMap,
};

use serde_json::json;

use super::{Hex, Text, WallTime};
use crate::event::NodeSlabs;

impl<'a> Line<'a> {
    /// Reads a line, and nothing after it.
    ///
    /// # Errors
    ///
    /// It is no JSON object, or one of its known fields is not of its type.
    pub fn read(&mut self, line: &'a [u8]) -> serde_json::Result<()> {
        // Checked as a whole it is checked faster than string by string; bytes that are no UTF-8 are an error with a column.
        if let Ok(text) = str::from_utf8(line) {
            let mut json = serde_json::Deserializer::from_str(text);
            DeserializeSeed::deserialize(self, &mut json)?;
            json.end()
        } else {
            let mut json = serde_json::Deserializer::from_slice(line);
            DeserializeSeed::deserialize(self, &mut json)?;
            json.end()
        }
    }
}

/// What values a column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// A moment.
    Time,
    /// A whole number, not below 0.
    Unsigned,
    /// A whole number.
    Signed,
    /// True or false.
    Flag,
    /// Text, or a list.
    Text,
}

/// A field's name, and what values it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name in every format.
    pub name: &'static str,
    /// The values.
    pub of: ColumnType,
}

/// A field's value.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// A moment.
    Time(WallTime),
    /// A whole number, not below 0.
    Unsigned(u64),
    /// A whole number.
    Signed(i64),
    /// True or false.
    Flag(bool),
    /// Text.
    Text(Cow<'a, str>),
    /// A list, as JSON.
    List(String),
}

trait Typed {
    const TYPE: ColumnType;

    fn cell(&self) -> FieldValue<'_>;
}

macro_rules! typed {
    ($($type:ty => $of:ident, |$value:ident| $cell:expr;)*) => {
        $(impl Typed for $type {
            const TYPE: ColumnType = ColumnType::$of;

            fn cell(&self) -> FieldValue<'_> {
                let $value = self;
                $cell
            }
        })*
    };
}

typed! {
    WallTime => Time, |time| FieldValue::Time(*time);
    u32 => Unsigned, |number| FieldValue::Unsigned((*number).into());
    u64 => Unsigned, |number| FieldValue::Unsigned(*number);
    i32 => Signed, |number| FieldValue::Signed((*number).into());
    i64 => Signed, |number| FieldValue::Signed(*number);
    bool => Flag, |is| FieldValue::Flag(*is);
    Text<'_> => Text, |text| FieldValue::Text(Cow::Borrowed(&*text.0));
    Hex<'_> => Text, |hex| FieldValue::Text(Cow::Owned(hex.to_string()));
    Cow<'_, [NodeSlabs]> => Text, |nodes| FieldValue::List(json!(nodes).to_string());
}

/// Makes the struct, and what writes and reads it, of one list.
macro_rules! line {
    ($lifetime:lifetime; $($(#[$doc:meta])* $field:ident: $type:ty,)*) => {
        /// A line's fields. One that is not known is `None`, and absent from the line.
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Line<$lifetime> {
            $($(#[$doc])* pub $field: Option<$type>,)*
            /// Reading: how many fields this version does not know.
            #[cfg_attr(feature = "schema", schemars(skip))]
            pub unknown_fields: u64,
        }

        impl<$lifetime> Line<$lifetime> {
            /// The fields, in the order in which they are written.
            pub const COLUMNS: &'static [Column] = &[$(Column {
                name: stringify!($field),
                of: <$type as Typed>::TYPE,
            }),*];

            /// Each field's value, in their order: `None` is not known.
            pub fn cells(&self) -> impl Iterator<Item = Option<FieldValue<'_>>> {
                [$(self.$field.as_ref().map(Typed::cell)),*].into_iter()
            }
        }

        impl Serialize for Line<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                $(if let Some(value) = &self.$field {
                    map.serialize_entry(stringify!($field), value)?;
                })*
                map.end()
            }
        }

        /// Reads into a line that is there: it is large, and moving it would take as long as reading it.
        impl<'de> DeserializeSeed<'de> for &mut Line<'de> {
            type Value = ();
            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                deserializer.deserialize_map(self)
            }
        }

        impl<'de> Visitor<'de> for &mut Line<'de> {
            type Value = ();
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    match &*key.0 {
                        $(stringify!($field) => self.$field = map.next_value()?,)*
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            self.unknown_fields += 1;
                        }
                    }
                }
                Ok(())
            }
        }
    };
}

line! { 'a;
    /// When, UTC.
    time: WallTime,
    /// When, on `CLOCK_MONOTONIC`.
    mono_ns: u64,
    /// What the line is about.
    kind: Text<'a>,
    /// The node, where lines of several nodes come together.
    hostname: Text<'a>,
    /// The cgroup's id.
    cgroup_id: u64,
    /// How many memcgs with this cgroup id came before this one; absent if none did.
    generation: u32,
    /// The parent directory's cgroup id.
    parent_id: u64,
    /// The memory css's serial number.
    serial: u64,
    /// The memcg id; 0 once the kernel has taken it back.
    memcg_id: u32,
    /// The number in the names of the memcg's slab caches.
    kmemcg_id: u64,
    /// `memcg` if one memcg of the cgroup is meant and not the cgroup; absent otherwise.
    scope: Text<'a>,
    /// Whether the cgroup has a memcg of its own.
    memory: bool,
    /// `v1` or `v2`.
    hierarchy: Text<'a>,
    /// The path from the hierarchy's root.
    path: Text<'a>,
    /// Its bytes, if they are not UTF-8.
    path_hex: Hex<'a>,
    /// True if there was more of it; absent otherwise.
    path_cut: bool,
    /// The pod the path names.
    pod_uid: Text<'a>,
    /// That pod's namespace, if the node told.
    pod_namespace: Text<'a>,
    /// That pod's name.
    pod_name: Text<'a>,
    /// The container the path names.
    container_id: Text<'a>,
    /// The pod's quality-of-service class.
    qos: Text<'a>,
    /// What runs the container.
    runtime: Text<'a>,
    /// What the runtime calls it, where that is not `container_id`.
    owner_name: Text<'a>,
    /// The systemd unit the path names.
    unit: Text<'a>,
    /// The name of the task that did it.
    comm: Text<'a>,
    /// Its bytes, if they are not UTF-8.
    comm_hex: Hex<'a>,
    /// The task's process id.
    pid: u32,
    /// The name of the task that made the cgroup.
    creator_comm: Text<'a>,
    /// Its bytes, if they are not UTF-8.
    creator_comm_hex: Hex<'a>,
    /// That task's process id.
    creator_pid: u32,
    /// What was charged to the memcg.
    usage_bytes: u64,
    /// How many slab caches of its own the memcg still has.
    slab_caches: u32,
    /// Objects in them.
    slab_objects: u64,
    /// Bytes that they take.
    slab_bytes: u64,
    /// Page cache on the dead memcg's LRU lists, in bytes.
    file_bytes: u64,
    /// Anonymous memory there, that of tmpfs included.
    anon_bytes: u64,
    /// That of tmpfs and of shared memory, where the kernel's statistics tell.
    shmem_bytes: u64,
    /// What there cannot be reclaimed.
    unevictable_bytes: u64,
    /// The buffers of its sockets: TCP's on v1, all where the kernel's statistics tell.
    tcpmem_bytes: u64,
    /// What of it is swapped out, in bytes.
    swap_bytes: u64,
    /// Whether the dead memcg has its id still: for pages in swap.
    keeps_id: bool,
    /// References to the dead memcg.
    refcount: i64,
    /// Dead memcgs directly below it.
    dead_children: u64,
    /// What keeps the zombie.
    pin: Text<'a>,
    /// What it holds: its pages, in memory or swapped out, and TCP's buffers.
    holds_bytes: u64,
    /// What it held when the first walk after its removal came by.
    holds_first_bytes: u64,
    /// How that changed of late: `draining`, `stable` or `growing`.
    trend: Text<'a>,
    /// Whether reclaim frees all that keeps it.
    reclaimable: bool,
    /// Polling found it out: it happened after this, on `CLOCK_MONOTONIC`, and by the line's time.
    after_mono_ns: u64,
    /// When the memcg came to life, on `CLOCK_MONOTONIC`.
    created_mono_ns: u64,
    /// When it went offline, on `CLOCK_MONOTONIC`.
    offlined_mono_ns: u64,
    /// If that was not seen: when it was known to be online for the last time.
    offlined_after_mono_ns: u64,
    /// For how long it has been a zombie.
    zombie_ns: u64,
    /// Carried: `live`, `zombie` or `leaked`.
    state: Text<'a>,
    /// Carried: what would tell a zombie's end, if it is no fact of its own: `counted` or `nothing`.
    proof: Text<'a>,
    /// True if events may have been lost since it went offline; absent otherwise.
    across_gap: bool,
    /// Known by the kernel's count alone: so many of `candidates` are zombies, or so many that no poll saw alive.
    by_count: u64,
    /// The removed memcgs among which they are.
    candidates: u64,
    /// When the walk began, on `CLOCK_MONOTONIC`.
    began_mono_ns: u64,
    /// How many directories the walk saw.
    directories: u64,
    /// How many zombies the kernel named meanwhile, if it named all.
    zombies_named: u64,
    /// v1: the kernel's count of directories and zombies.
    num_cgroups: u64,
    /// v2: the kernel's count of zombie cgroups.
    dying: u64,
    /// v2: the kernel's count of zombie memcgs.
    dying_memory: u64,
    /// v1: bytes of kernel memory that zombies hold.
    held_bytes: u64,
    /// One more than the highest number that slab caches' names have.
    kmemcg_peak: u64,
    /// memcg ids in use at one time.
    ids_peak: u64,
    /// The slab cache.
    cache: Text<'a>,
    /// Its bytes, if they are not UTF-8.
    cache_hex: Hex<'a>,
    /// That memcg's cgroup, without its parents, from the cache's name.
    cache_cgroup: Text<'a>,
    /// Its bytes, if they are not UTF-8.
    cache_cgroup_hex: Hex<'a>,
    /// The slab cache's object size in bytes.
    object_size: u32,
    /// What an object takes up in a slab, in bytes.
    buffer_size: u32,
    /// A slab has 2 to the power of this pages.
    order: u32,
    /// The smallest order that holds an object.
    min_order: u32,
    /// The failed allocation's gfp mask.
    gfp: u32,
    /// The mask in the kernel's words.
    gfp_flags: Text<'a>,
    /// The NUMA node that was asked for; -1 is any.
    node: i32,
    /// The CPU that asked.
    cpu: u32,
    /// What the cache had on each NUMA node.
    nodes: Cow<'a, [NodeSlabs]>,
    /// Failures before this one that the kernel log's rate limit held back.
    suppressed: u64,
    /// The error number.
    errno: i32,
    /// Its name.
    errno_name: Text<'a>,
    /// The beginning of a gap, on `CLOCK_MONOTONIC`.
    from_mono_ns: u64,
    /// How many records were lost.
    lost: u64,
    /// Why records were lost.
    reason: Text<'a>,
    /// Zombies by the events, where the kernel's count contradicts them.
    tracked_zombies: u64,
    /// Zombies by the kernel's count at that moment.
    kernel_zombies: u64,
    /// Memcgs that are live after this.
    live: u64,
    /// Zombies after this.
    zombies: u64,
    /// Those of them that leaked.
    leaked: u64,
}
