"""Tables as people have them: any common format read as typed columns, with each column's role found by its name.

Both problems read their tables here; what a role means to a problem is in its own package. Names are compared in
lower case; units are those of the catalogue (degrees, arcsec, MJD) once a table is read.
"""
