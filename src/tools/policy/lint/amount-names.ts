/** Names of arguments, and of members of a body, that move money. */
export const AMOUNTS: ReadonlySet<string> = new Set(['amount', 'amount_cents', 'price', 'iban', 'total']);
