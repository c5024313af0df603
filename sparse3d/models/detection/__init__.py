"""Networks that find objects: heads on the SR-UNet, and the network that joins the two."""
