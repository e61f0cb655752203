// Where the entities of a lineage are drawn: columns from left (upstream) to right, few crossings. Pure.

const SWEEPS = 6;

/** `columns`: arrays of entities, in the order of drawing; `side` of each: negative is upstream of `root`. */
export function columns(root, edges, keys) {
  const level = levels(root, edges, keys);
  const least = Math.min(...level.values()), found = [];
  for (const key of keys) (found[level.get(key) - least] ??= []).push(key);
  for (let at = 0; at < found.length; at += 1) found[at] ??= [];
  return ordered(found, edges);
}

/** Below the root as far as the longest way leads, above it likewise; a cycle ends it. */
function levels(root, edges, keys) {
  const level = new Map(keys.map((key) => [key, null]));
  level.set(root, 0);
  reach(root, level, next(edges, 0, 1), 1);
  reach(root, level, next(edges, 1, 0), -1);
  for (const [key, value] of level) if (value === null) level.set(key, 0);
  return level;
}

function next(edges, from, until) {
  const found = new Map();
  for (const edge of edges) found.set(edge[from], [...(found.get(edge[from]) ?? []), edge[until]]);
  return found;
}

function reach(root, level, after, step) {
  const most = level.size, mine = new Set([root]);
  let edge = [root];
  for (let hop = 1; hop <= most && edge.length; hop += 1) {
    const here = new Set(edge.flatMap((key) => after.get(key) ?? []));
    here.delete(root);
    edge = [...here].filter((key) => level.has(key) && (mine.has(key) || level.get(key) === null));
    for (const key of edge) {
      mine.add(key);
      level.set(key, hop * step);
    }
    if (hop > 40) break; // a cycle: nobody draws so deep
  }
}

/** Each column by the mean place of its neighbours, forth and back. */
function ordered(found, edges) {
  const place = new Map();
  const note = (column) => column.forEach((key, at) => place.set(key, at - (column.length - 1) / 2));
  found.forEach(note);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const beside = next(edges, sweep % 2 ? 0 : 1, sweep % 2 ? 1 : 0);
    const mean = (key) => {
      const places = (beside.get(key) ?? []).map((one) => place.get(one)).filter((one) => one !== undefined);
      return places.length ? places.reduce((sum, one) => sum + one, 0) / places.length : place.get(key);
    };
    for (const column of sweep % 2 ? [...found].reverse() : found) {
      const by = new Map(column.map((key) => [key, mean(key)]));
      column.sort((a, b) => by.get(a) - by.get(b) || a.localeCompare(b));
      note(column);
    }
  }
  return found;
}
