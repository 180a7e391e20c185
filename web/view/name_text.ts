/** A name as it can be seen and pressed: `instead` where it has nothing that leaves a mark. */
export function nameText(name: string, instead = '(blank)'): string {
  return /[^\p{White_Space}\p{C}\p{M}\u115f\u1160\u2800\u3164\uffa0]/u.test(name) ? name : instead
}
