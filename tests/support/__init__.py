"""What tests across packages share: a consortium of real processes, real clients, the tree as text."""
