"""Prices as sites give them: two hours in Vienna from midnight of 2026-01-01 on, 85.12 and -3.5
EUR/MWh, in the words of each."""

AWATTAR = """{"object":"list","data":[
{"start_timestamp":1767222000000,"end_timestamp":1767225600000,"marketprice":85.12,"unit":"Eur/MWh"},
{"start_timestamp":1767225600000,"end_timestamp":1767229200000,"marketprice":-3.5,"unit":"Eur/MWh"}
],"url":"/at/v1/marketdata"}"""
ENERGY_CHARTS = """{"license_info":"CC BY 4.0","unix_seconds":[1767222000,1767225600],
"price":[85.12,-3.5],"unit":"EUR / MWh","deprecated":false}"""
ENTSOE_OLD = """"MTU (CET/CEST)","Day-ahead Price [EUR/MWh]","Currency","BZN|AT"
"01.01.2026 00:00 - 01.01.2026 01:00","85.12","EUR",""
"01.01.2026 01:00 - 01.01.2026 02:00","-3.50","EUR",""
"01.01.2026 02:00 - 01.01.2026 03:00","-","",""
"""
ENTSOE = """"MTU (CET/CEST)","Area","Sequence","Day-ahead Price (EUR/MWh)",\
"Intraday Period (CET/CEST)","Intraday Price (EUR/MWh)"
"01/01/2026 00:00:00 - 01/01/2026 01:00:00","BZN|AT","Sequence 1","85.12","",""
"01/01/2026 00:00:00 - 01/01/2026 01:00:00","BZN|AT","Sequence 2","80.00","",""
"01/01/2026 00:00:00 - 01/01/2026 01:00:00","BZN|FR","Sequence 1","11.00","",""
"01/01/2026 01:00:00 - 01/01/2026 02:00:00","BZN|AT","Sequence 1","-3.50","",""
"""
SMARD = """Datum von;Datum bis;Deutschland/Luxemburg [€/MWh] Originalauflösungen;\
Österreich [€/MWh] Originalauflösungen
01.01.2026 00:00;01.01.2026 01:00;1.085,12;85,12
01.01.2026 01:00;01.01.2026 02:00;1,00;-3,50
"""
TIBBER = """{"data":{"viewer":{"homes":[{"currentSubscription":{"priceInfo":{
"today":[{"total":0.2,"energy":0.08512,"startsAt":"2026-01-01T00:00:00.000+01:00"}],
"tomorrow":[{"total":0.1,"energy":-0.0035,"startsAt":"2026-01-01T01:00:00.000+01:00"}]}}}]}}}"""
NORDPOOL = """{"deliveryDateCET":"2026-01-01","market":"DayAhead","currency":"EUR",
"multiAreaEntries":[
{"deliveryStart":"2025-12-31T23:00:00Z","deliveryEnd":"2026-01-01T00:00:00Z",
 "entryPerArea":{"AT":85.12,"FR":11.0}},
{"deliveryStart":"2026-01-01T00:00:00Z","deliveryEnd":"2026-01-01T01:00:00Z",
 "entryPerArea":{"AT":-3.5,"FR":11.5}}]}"""
NORDIC = """[{"SEK_per_kWh":0.9,"EUR_per_kWh":0.08512,"EXR":10.8,
"time_start":"2026-01-01T00:00:00+01:00","time_end":"2026-01-01T01:00:00+01:00"},
{"SEK_per_kWh":-0.1,"EUR_per_kWh":-0.0035,"EXR":10.8,
"time_start":"2026-01-01T01:00:00+01:00","time_end":"2026-01-01T02:00:00+01:00"}]"""
ENERGINET = """{"total":3,"dataset":"DayAheadPrices","records":[
{"TimeUTC":"2025-12-31T23:00:00","TimeDK":"2026-01-01T00:00:00","PriceArea":"DE",
 "DayAheadPriceEUR":85.12,"DayAheadPriceDKK":635.1},
{"TimeUTC":"2025-12-31T23:00:00","TimeDK":"2026-01-01T00:00:00","PriceArea":"DK1",
 "DayAheadPriceEUR":5.0,"DayAheadPriceDKK":37.1},
{"TimeUTC":"2026-01-01T00:00:00","TimeDK":"2026-01-01T01:00:00","PriceArea":"DE",
 "DayAheadPriceEUR":-3.5,"DayAheadPriceDKK":-26.1}]}"""
ELERING = """{"success":true,"data":{
"ee":[{"timestamp":1767222000,"price":85.12},{"timestamp":1767225600,"price":-3.5}],
"fi":[{"timestamp":1767222000,"price":1.0},{"timestamp":1767225600,"price":2.0}]}}"""
PLAIN = "time;price\n2026-01-01 00:00;8,512\n2026-01-01 01:00;-0,35\n"
PARTED = """sep=;
Datum;Anfang;Preis (EUR/MWh)
01.01.2026;00:00;85,12
01.01.2026;01:00;-3,5
"""
CHARTS_CSV = """Datum (MEZ),Day Ahead Auktion (AT)
,"Preis (EUR/MWh, EUR/tCO2)"
2026-01-01T00:00+01:00,85.12
2026-01-01T01:00+01:00,-3.50
"""
OCTOPUS = """{"count":2,"results":[
{"value_exc_vat":-0.3333,"value_inc_vat":-0.35,"valid_from":"2026-01-01T00:00:00Z",
 "valid_to":"2026-01-01T01:00:00Z","payment_method":null},
{"value_exc_vat":8.1067,"value_inc_vat":8.512,"valid_from":"2025-12-31T23:00:00Z",
 "valid_to":"2026-01-01T00:00:00Z","payment_method":null}]}"""
OCTOPUS_TODAY = """{"results":[
{"value_inc_vat":-0.35,"valid_from":"2026-01-01T00:30:00Z","valid_to":null},
{"value_inc_vat":-0.35,"valid_from":"2026-01-01T00:00:00Z","valid_to":"2026-01-01T00:30:00Z"},
{"value_inc_vat":8.512,"valid_from":"2025-12-31T23:00:00Z","valid_to":"2026-01-01T00:00:00Z"}]}"""
TIBBER_EDGES = """{"data":{"viewer":{"homes":[{"currentSubscription":{"priceInfo":{
"current":{"energy":0.5,"startsAt":"2026-01-02T00:00:00.000+01:00"},
"range":{"edges":[
{"cursor":"a","node":{"energy":0.08512,"startsAt":"2026-01-01T00:00:00.000+01:00"}},
{"cursor":"b","node":{"energy":-0.0035,"startsAt":"2026-01-01T01:00:00.000+01:00"}}]}}}}]}}}"""
TIBBER_NODES = """{"data":{"viewer":{"homes":[{"currentSubscription":{"priceInfo":{
"current":{"energy":0.5,"startsAt":"2026-01-02T00:00:00.000+01:00"},
"range":{"nodes":[
{"energy":0.08512,"startsAt":"2026-01-01T00:00:00.000+01:00"},
{"energy":-0.0035,"startsAt":"2026-01-01T01:00:00.000+01:00"}]}}}}]}}}"""
FINNISH = """{"prices":[
{"price":-0.35,"startDate":"2026-01-01T00:00:00.000Z","endDate":"2026-01-01T00:59:59.999Z"},
{"price":8.512,"startDate":"2025-12-31T23:00:00.000Z","endDate":"2025-12-31T23:59:59.999Z"}]}"""
DANISH = """{"prices":[
{"date":"2025-12-31T23:00:00.000Z","price":{"value":0.08512,"total":1.5,"unit":"EUR/kWh"}},
{"date":"2026-01-01T00:00:00.000Z","price":{"value":-0.0035,"total":1.4,"unit":"EUR/kWh"}}]}"""
SPANISH = """{"indicator":{"name":"PVPC","values":[
{"value":85.12,"datetime":"2026-01-01T00:00:00.000+01:00","datetime_utc":"2025-12-31T23:00:00Z"},
{"value":-3.5,"datetime":"2026-01-01T01:00:00.000+01:00","datetime_utc":"2026-01-01T00:00:00Z"}]}}
"""
SERIES = """{"meta_data":{"version":1},"series":[[1767222000000,85.12],[1767225600000,-3.5],
[1767229200000,null]]}"""
FRAME = ",0\n2026-01-01 00:00:00+01:00,85.12\n2026-01-01 01:00:00+01:00,-3.5\n"
ENTSOE_EXPORT = """DateTime(UTC)\tResolutionCode\tAreaDisplayName\tMapCode\t\
Price[Currency/MWh]\tCurrency\tUpdateTime(UTC)
2025-12-31 23:00:00.000\tPT60M\tAustria\tAT\t85.12\tEUR\t2025-12-31 12:00:00
2026-01-01 00:00:00.000\tPT60M\tAustria\tAT\t-3.5\tEUR\t2025-12-31 12:00:00
2025-12-31 23:00:00.000\tPT60M\tFrance\tFR\t11\tEUR\t2025-12-31 12:00:00
"""
