// What a client would choke on, lose or corrupt. `rule` names the rule that was broken, so that a test can ask for it.
export class Violation extends Error {
  constructor(rule, text, evidence) {
    super(`${rule}: ${text}${evidence === undefined ? '' : ` in ${JSON.stringify(evidence).slice(0, 1500)}`}`);
    this.name = 'Violation';
    this.rule = rule;
  }
}

export function require(condition, rule, text, evidence) {
  if (!condition) throw new Violation(rule, text, evidence);
}

export const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

// Whether two JSON values are the same, whatever the order of their members.
export function same(a, b) {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => same(item, b[i]));
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
}
