-- Redshift, radii, magnitude and PSF width of the Galaxy Zoo 1 objects, which table 2 lacks.
-- Run in CasJobs (https://skyserver.sdss.org/CasJobs), context DR7, after uploading table 2's OBJID column
-- as MyDB.gz1 (objid bigint). Export the answer as CSV or FITS and give it as `metadata`.
-- Radii and psfWidth_r are arcsec, magnitudes are not corrected for extinction, -9999 marks a missing value.
-- A galaxy without a spectrum keeps its row, with an empty z.
SELECT
    g.objid            AS objid,
    p.ra               AS ra,
    p.dec              AS dec,
    s.z                AS z,
    p.petroR90_r       AS petroR90_r,
    p.petroR50_r       AS petroR50_r,
    p.petroMag_r       AS petroMag_r,
    p.extinction_r     AS extinction_r,
    f.psfWidth_r       AS psfWidth_r
INTO MyDB.gz1_metadata
FROM MyDB.gz1 AS g
    JOIN PhotoObjAll AS p ON p.objID = g.objid
    JOIN Field AS f ON f.fieldID = p.fieldID
    LEFT JOIN SpecObj AS s ON s.bestObjID = p.objID
