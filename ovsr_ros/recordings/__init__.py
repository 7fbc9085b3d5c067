"""Recordings: bags labelled as files, labelled again by other words, and searched. Needs the extra `recordings`."""
