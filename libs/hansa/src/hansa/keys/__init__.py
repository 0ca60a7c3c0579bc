"""Keys of a member: files that hold them, and what is checked when they are read (rules K1, K2, K7).

Signing and its rules belong to consensus; this package only makes, protects and reads keys.
"""

from hansa.keys.errors import KeysInvalid
from hansa.keys.member import MemberKeys, check_against, load_member_keys, new_member_keys, validator_of

__all__ = ["KeysInvalid", "MemberKeys", "check_against", "load_member_keys", "new_member_keys", "validator_of"]
