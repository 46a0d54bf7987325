"""What stands at the other end of a link, and how it is judged: clients here, routes beside them."""
