from zoo.training.run import train as train
