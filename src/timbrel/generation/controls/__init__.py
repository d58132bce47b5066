"""What moves a sound: operators on its code, and the mapper that gives them units."""
