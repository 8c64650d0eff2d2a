"""The columns of the Music & Mental Health survey, in its order, and the words of its answers."""

GENRES = (
    *("Classical", "Country", "EDM", "Folk", "Gospel", "Hip hop", "Jazz", "K pop"),
    *("Latin", "Lofi", "Metal", "Pop", "R&B", "Rap", "Rock", "Video game music"),
)
FREQUENCIES = ("Never", "Rarely", "Sometimes", "Very frequently")

COLUMNS = (
    *("Timestamp", "Age", "Primary streaming service", "Hours per day", "While working"),
    *("Instrumentalist", "Composer", "Fav genre", "Exploratory", "Foreign languages", "BPM"),
    *(f"Frequency [{genre}]" for genre in GENRES),
    *("Anxiety", "Depression", "Insomnia", "OCD"),
    *("Music effects", "Permissions"),
)
