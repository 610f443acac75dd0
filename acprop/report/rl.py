def write_all(tables: bool = True, figures: bool = True) -> list:
    return []
