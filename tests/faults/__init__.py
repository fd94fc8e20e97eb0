"""What must survive, whatever breaks: short forms; the long ones come with the fault harness."""
