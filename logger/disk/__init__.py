"""How files get onto a disk: whole or not at all, and to last through a power cut."""
