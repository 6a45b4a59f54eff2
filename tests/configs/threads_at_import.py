import threading

done = threading.Event()
thread = threading.Thread(target=done.set)
thread.start()
thread.join()
workers = 3 if done.is_set() else 1
