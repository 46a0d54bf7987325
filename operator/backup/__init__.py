"""One encrypted file that holds a store, its keys and its log, and gives them back bit for bit."""
