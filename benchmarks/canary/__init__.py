"""Card numbers, codes and persons that are nobody's, sent everywhere, and looked for wherever they must not be."""
