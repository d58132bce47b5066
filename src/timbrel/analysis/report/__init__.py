"""Pages for people: one HTML file each, which asks for nothing from anywhere."""
