/** Names of arguments, and of members of a body, that move money: in lower case, without separators. */
const AMOUNTS: ReadonlySet<string> = new Set(['amount', 'amountcents', 'price', 'iban', 'total']);

/** Whether an argument is named like an amount, in any letter case (`Amount`, `amountCents`); of a nested `payment.amount` the last part. */
export const isAmountName = (name: string): boolean =>
  AMOUNTS.has(
    name
      .slice(name.lastIndexOf('.') + 1)
      .toLowerCase()
      .replaceAll(/[_-]/g, ''),
  );
