"""Addresses of the published tables, by the name that may be given wherever a table is named."""

from types import MappingProxyType

_GZ1 = "https://galaxy-zoo-1.s3.amazonaws.com/GalaxyZoo1_DR_table"
_GZ2 = "https://zooniverse-data.s3.amazonaws.com/galaxy-zoo-2/"

OFFICIAL_TABLES: MappingProxyType[str, str] = MappingProxyType(
    {
        "gz1-table2": f"{_GZ1}2.csv.gz",
        "gz2-hart16": "https://gz2hart.s3.amazonaws.com/gz2_hart16.csv.gz",
        "gz2-willett13-specz": f"{_GZ2}zoo2MainSpecz.csv.gz",
        "gz2-willett13-photoz": f"{_GZ2}zoo2MainPhotoz.csv.gz",
        "gz2-willett13-stripe82-normal": f"{_GZ2}zoo2Stripe82Normal.csv.gz",
        "gz2-willett13-stripe82-coadd1": f"{_GZ2}zoo2Stripe82Coadd1.csv.gz",
        "gz2-willett13-stripe82-coadd2": f"{_GZ2}zoo2Stripe82Coadd2.csv.gz",
        "gz2sample": f"{_GZ2}gz2sample.csv.gz",
        "gz2-filename-mapping": "https://zenodo.org/records/3565489/files/gz2_filename_mapping.csv",
    }
)
