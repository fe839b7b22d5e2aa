"""How messages come: WebSockets, server-sent events and polls behind one port."""
