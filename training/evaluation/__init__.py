"""How good generated images are: figures against real photos, a page for people to judge, tables of ablations."""
