"""The scripts that Redis runs in one piece; `store.client.load_script` reads them."""
