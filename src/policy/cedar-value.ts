/** A value of Cedar in its JSON form. Only times and decimals are extension values; no value is an entity. */
export type CedarValue = string | number | boolean | readonly CedarValue[] | CedarRecord;

/** A record of Cedar. Its names are Remit's own or the catalog's, never the caller's. */
export interface CedarRecord {
  readonly [name: string]: CedarValue;
}
