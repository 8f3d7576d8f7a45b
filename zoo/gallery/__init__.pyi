from zoo.gallery.writing import Gallery as Gallery
from zoo.gallery.writing import make_gallery as make_gallery
