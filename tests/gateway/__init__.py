"""What the client says about a message, whatever the gateway and the network do."""
