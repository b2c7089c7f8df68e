"""What an editor does, pixel by pixel and with whole copies for a history; no line shared with the real one."""

import copy

THINGS = ("car", "person")
NAMES = ("sky", "road", "car", "person")


class NaiveEditor:
    """`labels` and `ids` are dicts from (y, x); a mask is a set of (y, x)."""

    def __init__(self, labels, ids, height, width):
        self.labels, self.ids, self.size = labels, ids, (height, width)
        self.seed, self.by_instance, self.by_class = 0, {}, {}
        self.past, self.future = [], []

    def state(self):
        return copy.deepcopy((self.labels, self.ids, self.seed, self.by_instance, self.by_class))

    def class_of(self, instance):
        return next(self.labels[p] for p in sorted(self.ids) if self.ids[p] == instance)

    def pixels_of(self, instance):
        return {p for p in self.ids if self.ids[p] == instance}

    def is_thing(self, class_id):
        return NAMES[class_id] in THINGS

    def new_id(self, class_id, taken=()):
        if not self.is_thing(class_id):
            return class_id
        number = 1000 * class_id
        while number in self.ids.values() or number in taken:
            number += 1
        return number

    def paint(self, mask, class_id, instance):
        new = self.new_id(class_id) if instance == "new" else class_id if instance is None else instance
        self._commit(dict.fromkeys(mask, (class_id, new)))
        return new

    def relabel(self, mask, class_id):
        given = {}
        for instance in sorted({self.ids[p] for p in mask}):
            same = self.class_of(instance) == class_id
            given[instance] = instance if same else self.new_id(class_id, given.values())
        self._commit({p: (class_id, given[self.ids[p]]) for p in mask})

    def behind(self, hole):
        known = [p for p in self.labels if p not in hole and not self.is_thing(self.labels[p])]
        known = known or [p for p in self.labels if p not in hole]
        if not known:
            return None

        def order(y, x):
            return lambda q: ((q[0] - y) ** 2 + (q[1] - x) ** 2, abs(q[1] - x), q[1] > x, q[0] > y)

        nearest = {(y, x): min(known, key=order(y, x)) for y, x in hole}
        return {p: (self.labels[q], self.ids[q]) for p, q in nearest.items()}

    def erase(self, mask):
        objects = {p for p in mask if self.is_thing(self.labels[p])}
        return self._commit_or_refuse(self.behind(objects) if objects else {})

    def remove(self, instance):
        return self._commit_or_refuse(self.behind(self.pixels_of(instance)))

    def moved(self, instance, dx, dy):
        height, width = self.size
        moved = {(y + dy, x + dx) for y, x in self.pixels_of(instance)}
        return {(y, x) for y, x in moved if 0 <= y < height and 0 <= x < width}

    def move(self, instance, dx, dy):
        target, below = self.moved(instance, dx, dy), self.behind(self.pixels_of(instance))
        if not target or below is None:
            return False
        class_id = self.class_of(instance)
        return self._commit_or_refuse(below | dict.fromkeys(target, (class_id, instance)))

    def duplicate(self, instance, dx, dy, feature):
        target = self.moved(instance, dx, dy)
        if not target:
            return False
        class_id = self.class_of(instance)
        new = self.new_id(class_id)
        styles = {new: feature} if self.is_thing(class_id) else {}
        self._commit(dict.fromkeys(target, (class_id, new)), styles)
        return True

    def restyle(self, instance, feature):
        if self.by_instance.get(instance) != feature:
            self._remember()
            self.by_instance[instance] = feature

    def restyle_class(self, class_id, feature):
        if self.by_class.get(class_id) != feature:
            self._remember()
            self.by_class[class_id] = feature

    def shuffle(self, seed):
        if (seed, {}, {}) != (self.seed, self.by_instance, self.by_class):
            self._remember()
            self.seed, self.by_instance, self.by_class = seed, {}, {}

    def step(self, source, target):
        if not source:
            return False
        target.append(self.state())
        self.labels, self.ids, self.seed, self.by_instance, self.by_class = source.pop()
        return True

    def _commit_or_refuse(self, pixels):
        if pixels is None:
            return False
        self._commit(pixels)
        return True

    def _commit(self, pixels, styles=()):
        if all((self.labels[p], self.ids[p]) == new for p, new in pixels.items()):
            return
        self._remember()
        for p, (label, instance) in pixels.items():
            self.labels[p], self.ids[p] = label, instance
        self.by_instance |= dict(styles)
        present = set(self.ids.values())
        self.by_instance = {key: one for key, one in self.by_instance.items() if key in present}

    def _remember(self):
        self.past.append(self.state())
        self.future.clear()
